"""`cryptobot audit`: the pipeline before and after a leak is planted in it."""

from __future__ import annotations

from collections.abc import Sequence

from cryptobot_assets.audit.checks import CHECKS, Finding, audit
from cryptobot_assets.audit.leaks import LEAKS
from cryptobot_assets.audit.pipeline import OWN, RANKED, make_market
from cryptobot_assets.cli.console import Stage, say
from cryptobot_assets.errors import LeakFound

UNTOUCHED = {"untouched: a currency's own features": OWN, "untouched: ranks among currencies": RANKED}


def run_audit(seed: int) -> None:
    """Audit the untouched pipelines and every planted leak.

    Raises:
        LeakFound: an untouched pipeline fails a check, or a leak passes them all.
    """
    klines = make_market(seed)
    told, wrong = [], []
    with Stage("Audit", len(UNTOUCHED) + len(LEAKS)).running() as stage:
        for name, pipeline in {**UNTOUCHED, **LEAKS}.items():
            failed = [finding for finding in audit(pipeline, klines) if not finding.passed]
            if bool(failed) is not (name in LEAKS):
                wrong.append(name)
            told += verdict_lines(name, failed)
            stage.advance("audit", steps=1, note=name)
    for line in told:
        say(line)
    if wrong:
        raise LeakFound(f"the audit is wrong about: {', '.join(wrong)}")


def verdict_lines(name: str, failed: Sequence[Finding]) -> list[str]:
    """What the audit says of one pipeline, as lines."""
    if not failed:
        return [f"  passes  {name} ({len(CHECKS)} checks)"]
    return [f"  caught  {name}", *(f"            {finding.check}: {finding.told}" for finding in failed)]

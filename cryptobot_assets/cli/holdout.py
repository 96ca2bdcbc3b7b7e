"""`cryptobot holdout`: opens the locked holdout, which is recorded, and lists every opening."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptobot_assets.assets.training_record import git_commit
from cryptobot_assets.cli.console import say
from cryptobot_assets.cli.promote import MOST_REASON, who
from cryptobot_assets.errors import RegistryError, UnknownCurrency, UsageError
from cryptobot_assets.holdout import open_holdout, require_holdout
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.holdout_log import Opening, find_breaks, read_openings
from cryptobot_assets.storage.store import open_store
from cryptobot_assets.universe import open_partitions


def run_open(settings: Settings, market: str, reason: str) -> None:
    """Evaluate the registered versions on the holdout, record it and print what came of it."""
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= MOST_REASON:
        raise UsageError(f"--reason must say why, in 1 to {MOST_REASON} characters")
    require_holdout(settings)
    markets = open_partitions(settings).markets
    if market not in markets:
        raise UnknownCurrency(market, markets)
    registry = open_registry(settings)
    opening = open_holdout(
        open_store(settings),
        registry,
        settings,
        market,
        by=who(),
        commit=git_commit(settings),
        reason=reason,
        now=datetime.now(UTC),
    )
    _tell(opening)
    if opening.number > 1:
        say(f"It had been opened {opening.number - 1} time(s) before: what was chosen since then has seen it.")


def run_log(settings: Settings) -> None:
    """List every opening.

    Raises:
        RegistryError: one was deleted or altered.
    """
    openings = read_openings(open_registry(settings))
    if not openings:
        say("The holdout has never been opened.")
    for one in openings:
        _tell(one)
    broken = find_breaks(openings)
    if broken:
        raise RegistryError(
            f"the log of openings was tampered with before opening {', '.join(map(str, broken))}: "
            "one was deleted or altered in MLflow, so count more openings than are listed"
        )


def _tell(opening: Opening) -> None:
    say(
        f"Opening {opening.number}, {opening.time} by {opening.by}, commit {opening.commit[:12]}: market "
        f"{opening.market} from {opening.holdout_from}: {opening.reason}"
    )
    for name, one in opening.figures.items():
        gain = 1 - one["mse"] / one["mse_zero"] if one["mse_zero"] else 0.0
        ic = f", IC {one['ic']:.3f}" if "ic" in one else ""
        net = f", net value {one['net']:.3f} (holding {one['control_net']:.3f})" if "net" in one else ""
        mark = " (champion)" if one["champion"] else ""
        say(f"  {name} version {one['version']}{mark}: {one['rows']:,} rows, {gain:+.2%} on zero's error{ic}{net}")
    if not opening.figures:
        say("  no figures: the evaluation did not end, or no outcome was known")

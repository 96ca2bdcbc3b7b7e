"""Markets whose truth is known: how often the gate errs, and how often the intervals hold the truth.

    python benchmarks/known_markets.py [--markets 100] [--planted 100] [--algorithms ridge,...] [--json result.json]

Simulated hourly markets go the platform's way: indicators, tuning on purged folds, out-of-sample
predictions, evaluation, the test of all algorithms together, the verdict (`audit/known_market.py`).

- null: nothing can be predicted. What the gate passes there is an error; at most 5 of 100 may.
- planted: what rose over 25 hours tends to fall back. What the gate passes there is what it finds. Each fitted
  model is scored on several spans one after the other; their mean is the truth, and a 90 % interval of one span
  should hold it 90 times in 100.

Exit code 1 when more than 5 % of the null markets pass, or an interval's coverage is below 90 % by more than
chance explains (three deviations of so many spans), or above 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from cryptobot_assets.audit.known_market import Judged, Plan
from cryptobot_assets.domain.bootstrap import LEVEL
from cryptobot_assets.models.algorithms import ALGORITHMS, require_algorithms
from cryptobot_assets_tests.audit.simulated import judge_simulated

MOST_PASSED = 0.05
DEVIATIONS = 3.0
MOST_COVERED = 0.95


def main() -> None:
    """Judge the markets, print, and exit with 1 where a promise is not kept."""
    chosen = arguments()
    algorithms = require_algorithms(chosen.algorithms.split(",") if chosen.algorithms else ALGORITHMS)
    null = Plan(algorithms=algorithms, evaluated_days=chosen.days, trials=chosen.trials, draws=0)
    planted = Plan(algorithms=algorithms, evaluated_days=chosen.days, trials=chosen.trials, spans=chosen.spans)
    result = {
        "algorithms": algorithms,
        "evaluated_days": chosen.days,
        "null": null_figures(judged("null", null, chosen.markets, chosen.seed, 0.0)),
        "planted": planted_figures(
            judged("planted", planted, chosen.planted, chosen.seed + 100_000, chosen.predictability)
        ),
    }
    print(json.dumps(result))
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(0 if kept(result) else 1)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markets", type=int, default=100, help="markets without truth (default 100)")
    parser.add_argument("--planted", type=int, default=100, help="markets with a planted effect (default 100)")
    parser.add_argument("--predictability", type=float, default=1.0, help="strength of the effect (default 1)")
    parser.add_argument("--days", type=int, default=90, help="days evaluated (default 90)")
    parser.add_argument("--spans", type=int, default=12, help="that a planted model is scored on (default 12)")
    parser.add_argument("--trials", type=int, default=2, help="tuning trials a model (default 2)")
    parser.add_argument("--algorithms", help="comma list (default all)")
    parser.add_argument("--seed", type=int, default=1, help="of the first market (default 1)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def judged(kind: str, plan: Plan, markets: int, seed: int, predictability: float) -> list[Judged]:
    """Every market's verdict, markets side by side on the cores, with progress."""
    work = partial(judge_simulated, plan=plan, predictability=predictability)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(told(kind, pool.map(work, range(seed, seed + markets)), markets))


def told(kind: str, verdicts: Iterator[Judged], markets: int) -> Iterator[Judged]:
    """The same verdicts, with a line after every tenth."""
    started, passed = time.monotonic(), 0
    for number, one in enumerate(verdicts, start=1):
        passed += one.verdict.promote
        if number % 10 == 0 or number == markets:
            spent = time.monotonic() - started
            print(f"  {kind}: {number} of {markets} markets, {passed} passed, {spent:.0f} s", file=sys.stderr)
        yield one


def null_figures(verdicts: Sequence[Judged]) -> dict[str, Any]:
    """How many markets passed where nothing can be predicted."""
    return {"markets": len(verdicts), "passed": sum(one.verdict.promote for one in verdicts)}


def planted_figures(verdicts: Sequence[Judged]) -> dict[str, Any]:
    """How many planted effects were found, and by algorithm how often the truth lay in the intervals."""
    names = sorted({name for one in verdicts for name in one.ic})
    return {
        "markets": len(verdicts),
        "passed": sum(one.verdict.promote for one in verdicts),
        "coverage": {name: coverage([one for one in verdicts if name in one.ic], name) for name in names},
    }


def coverage(verdicts: Sequence[Judged], name: str) -> dict[str, float]:
    """How often the truth lay in the intervals of an algorithm's spans, and its IC as judged and as it is."""
    ics = [span for one in verdicts for span in one.ic[name]]
    return {
        "spans": len(ics),
        "ic": share([span.holds for span in ics]),
        "net": share([span.holds for one in verdicts for span in one.net[name]]),
        "mean_ic": mean([one.ic[name][0].value for one in verdicts]),
        "mean_true_ic": mean([span.value for span in ics]),
    }


def share(held: Sequence[bool]) -> float:
    """Share that is true."""
    return round(sum(held) / len(held), 4)


def mean(values: Sequence[float]) -> float:
    """Plain mean."""
    return round(sum(values) / len(values), 5)


def kept(result: dict[str, Any]) -> bool:
    """Whether the gate errs no more than it may and every interval covers as it says."""
    null, planted = result["null"], result["planted"]
    if null["markets"] and null["passed"] > MOST_PASSED * null["markets"]:
        return False
    if not planted["markets"]:
        return True
    return all(
        LEVEL - DEVIATIONS * math.sqrt(LEVEL * (1 - LEVEL) / one["spans"]) <= one[figure] <= MOST_COVERED
        for one in planted["coverage"].values()
        for figure in ("ic", "net")
    )


if __name__ == "__main__":
    main()

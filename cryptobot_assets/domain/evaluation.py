"""The evaluation of a market: every algorithm on its out-of-sample rows, beside the control.

Rows are what `predictions` holds: each scored by the newest version whose cutoff is at or before
its time, so that everything here is out of sample by construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS
from cryptobot_assets.domain.conformal import LEVEL, Coverage
from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.metrics import Score, at_whole_hours, score
from cryptobot_assets.domain.pool_value import (
    Control,
    Costs,
    Hours,
    PoolValue,
    align_hours,
    control,
    pool_value,
    replaced_formula,
)
from cryptobot_assets.domain.portfolio import Result
from cryptobot_assets.domain.promotion import Candidate
from cryptobot_assets.domain.risk import BeyondRisk
from cryptobot_assets.domain.rule_table import result_row
from cryptobot_assets.domain.significance import Superiority, no_skill_precision, superiority


@dataclass(frozen=True)
class Evaluation:
    """One algorithm's out-of-sample record in one market.

    Attributes:
        version, cutoff: of the newest version that scored a row.
        start, end: open times of the first and last scored row.
        pool, control, hours: None while no 24 h hold has ended.
    """

    market: str
    algorithm: str
    version: str
    cutoff: datetime
    start: datetime
    end: datetime
    score: Score
    pool: PoolValue | None
    control: Control | None
    hours: Hours | None

    @property
    def candidate(self) -> Candidate:
        """What the promotion rule reads."""
        return Candidate(
            algorithm=self.algorithm,
            version=self.version,
            rows=self.score.rows,
            mse=self.score.mse,
            mse_zero=self.score.mse_zero,
            ic=self.score.ic,
            net=self.pool.net if self.pool else None,
        )


def evaluate(
    predictions: pl.DataFrame,
    closes: pl.DataFrame,
    *,
    interval: str,
    costs: Costs,
    seed: int,
    draws: int = DRAWS,
) -> Evaluation | None:
    """Evaluate one market and algorithm; None when no row's outcome is known.

    Args:
        predictions: rows of the table of one market and algorithm.
        closes: currency, time, close of the same currencies at whole hours (see `at_whole_hours`).
        draws: bootstrap draws of each interval; 0 leaves the intervals out.
    """
    known = predictions.drop_nulls("realised_return")
    if known.is_empty():
        return None
    newest = predictions.sort("cutoff", pl.col("version").cast(pl.Int64)).row(-1, named=True)
    hours = align_hours(at_whole_hours(predictions, interval), closes)
    return Evaluation(
        market=newest["market"],
        algorithm=newest["algorithm"],
        version=newest["version"],
        cutoff=newest["cutoff"],
        start=earliest(known["time"]),
        end=latest(known["time"]),
        score=score(known, interval, seed=seed, draws=draws),
        pool=pool_value(hours, costs, seed_value=replaced_formula(known), seed=seed, draws=draws) if hours else None,
        control=control(hours, costs) if hours else None,
        hours=hours,
    )


def skill_of(evaluations: Sequence[Evaluation], *, seed: int) -> Superiority:
    """The test whether any algorithm of a market has skill, all of them counted."""
    return superiority({one.algorithm: one.score.skill for one in evaluations}, seed=seed)


def report_row(
    evaluation: Evaluation,
    costs: Costs,
    *,
    trials: int,
    folds: int,
    rules: Sequence[Result] = (),
    coverage: Coverage | None = None,
    risk: BeyondRisk | None = None,
) -> dict[str, Any]:
    """One entry of the report's `models`, plain JSON values; figures that do not exist are null."""
    row = evaluation.score
    classes = row.classification
    pool = evaluation.pool
    entry: dict[str, Any] = finite(
        {
            "market": evaluation.market,
            "algorithm": evaluation.algorithm,
            "version": evaluation.version,
            "cutoff": evaluation.cutoff.isoformat(),
            "trials": trials,
            "folds": folds,
            "rows": row.rows,
            "mse": row.mse,
            "mse_zero": row.mse_zero,
            "ic": row.ic,
            "ic_ci": list(row.ic_ci) if row.ic_ci else [None, None],
            **({"ic_beyond_risk": vars(risk) | {"ic_ci": list(risk.ic_ci or (None, None))}} if risk else {}),
            "classification": {
                "0": vars(classes.down),
                "1": vars(classes.up),
                "accuracy": classes.accuracy,
                "base_rate": classes.base_rate,
                "effective_n": classes.effective_n,
                "no_skill_precision": list(no_skill_precision(classes.base_rate, classes.effective_said_up)),
            },
            "interval_coverage": _coverage(coverage),
            "pool_value": {
                "seed": pool.seed if pool else None,
                "gross": pool.gross if pool else None,
                "net": pool.net if pool else None,
                "net_ci": list(pool.net_ci) if pool and pool.net_ci else [None, None],
                "fee_bps": costs.fee_bps,
                "slippage_bps": costs.slippage_bps,
                "trades": pool.trades if pool else 0,
                "rules": [result_row(one) for one in rules],
            },
        }
    )
    return entry


def _coverage(held: Coverage | None) -> dict[str, Any]:
    if held is None:
        return {"nominal": LEVEL, "realised": None, "ci": [None, None], "rows": 0}
    return vars(held) | {"ci": list(held.ci) if held.ci else [None, None]}


def finite(value: Any) -> Any:
    """The same JSON value with numbers that are not finite as null."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def verdict_in_words(evaluations: Sequence[Evaluation]) -> list[str]:
    """What a sceptic should take from the leaderboard, in plain sentences."""
    with_pool = [one for one in evaluations if one.pool and one.control]
    lines = [_against_control(with_pool)] if with_pool else ["No 24 hour hold has ended yet: no pool value."]
    clear = [one.algorithm for one in evaluations if one.score.ic_ci and one.score.ic_ci[0] > 0]
    lines.append(
        f"The IC of {', '.join(clear)} is above zero with its 90 % interval."
        if clear
        else "No model's IC is clear of zero at 90 %."
    )
    below = [one.algorithm for one in evaluations if one.score.mse < one.score.mse_zero]
    lines.append(
        f"{', '.join(below)} {'has' if len(below) == 1 else 'have'} a lower squared error than predicting zero."
        if below
        else "No model has a lower squared error than predicting zero."
    )
    return lines


def _against_control(evaluations: Sequence[Evaluation]) -> str:
    compared = [(one.algorithm, one.pool, one.control.net) for one in evaluations if one.pool and one.control]
    held = compared[0][2]
    winners = [(name, pool, holding) for name, pool, holding in compared if pool.net > holding]
    if not winners:
        return f"No model beats the control ({held:.3f} by holding) after costs."
    clear = [name for name, pool, holding in winners if pool.net_ci and pool.net_ci[0] > holding]
    names = ", ".join(name for name, _, _ in winners)
    sure = f"; with its 90 % interval only {', '.join(clear)}" if clear else "; none of them with its 90 % interval"
    return f"{names} beat the control ({held:.3f} by holding) after costs{sure}."

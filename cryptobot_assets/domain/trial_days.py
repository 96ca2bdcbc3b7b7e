"""The daily skill of every tuning trial, and what so many trials say of the one that was chosen.

A day's skill is the mean of the hourly skill that promotion judges by (`hourly_skill`), on the rows
that tested the trial's folds, so that trials and the out-of-sample record of a version are in one unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cryptobot_assets.domain.metrics import at_whole_hours, hourly_skill
from cryptobot_assets.domain.significance import deflated_sharpe, overfitting_probability, sharpes

DIGITS = 6


@dataclass(frozen=True)
class Overfitting:
    """What the number of tries leaves of an algorithm's out-of-sample record.

    Attributes:
        deflated_sharpe: chance that its true daily Sharpe ratio of skill is above `lucky_sharpe`.
        sharpe: mean over deviation of its daily skill, out of sample.
        lucky_sharpe: the best that so many trials without skill would be expected to show.
        trials: of all algorithms of the market, all trainings together.
        pbo: chance that the trial that was best on some days is below the median on the others, of
            all algorithms' trials as of the newest cutoff; None where there are too few days.
    """

    deflated_sharpe: float
    sharpe: float
    lucky_sharpe: float
    trials: int
    pbo: float | None

    def told(self, algorithm: str) -> str:
        """In words."""
        chosen = (
            "" if self.pbo is None else f"; what is best on some days is below the median on others in {self.pbo:.0%}"
        )
        return (
            f"the daily skill of {algorithm} has a Sharpe ratio of {self.sharpe:.2f}, where the luckiest of "
            f"{self.trials:,} trials without skill would show {self.lucky_sharpe:.2f}: above it with "
            f"{self.deflated_sharpe:.0%} (deflated Sharpe ratio){'' if self.pbo is None else chosen} (not judged)"
        )


def trial_days(
    currency: np.ndarray,
    time: np.ndarray,
    target: np.ndarray,
    predicted: Sequence[np.ndarray],
    interval: str,
) -> pl.DataFrame:
    """Columns day and trial_<n>: each trial's skill of every day, 0 where it has none to tell.

    Args:
        currency, time, target: (rows,) of the rows that tested the folds.
        predicted: (rows,) of each trial that finished.
    """
    rows = pl.DataFrame({"currency": currency.astype(str), "time": time, "realised_return": target})
    hourly = at_whole_hours(rows.with_row_index("row"), interval)
    kept = hourly["row"].to_numpy()
    days = hourly.select(pl.col("time").dt.date().alias("day")).unique().sort("day")
    for number, numbers in enumerate(predicted):
        scored = hourly.with_columns(predicted_return=pl.Series(numbers[kept]))
        days = days.join(daily(hourly_skill(scored)).rename({"skill": f"trial_{number}"}), on="day", how="left")
    return days.with_columns(pl.exclude("day").fill_null(0.0).round(DIGITS)).sort("day")


def daily(skill: pl.DataFrame) -> pl.DataFrame:
    """Columns day, skill: the mean of hourly skill (time, skill) of each day, sorted."""
    return skill.group_by(pl.col("time").dt.date().alias("day")).agg(pl.col("skill").mean()).sort("day")


def overfitting(
    skill: pl.DataFrame, trials: Sequence[pl.DataFrame], newest: Sequence[pl.DataFrame]
) -> Overfitting | None:
    """What the trials leave of an out-of-sample record.

    Args:
        skill: time and skill, out of sample.
        trials: `trial_days` of every training of the market.
        newest: those of the newest cutoff, one an algorithm.

    None with too few days or trials to tell.
    """
    if not trials:
        return None
    ratios = np.concatenate([sharpes(one.drop("day").to_numpy()) for one in trials])
    made = deflated_sharpe(daily(skill)["skill"].to_numpy(), ratios)
    if made is None:
        return None
    return Overfitting(made.probability, made.sharpe, made.lucky, made.trials, chosen_by_luck(newest))


def chosen_by_luck(trials: Sequence[pl.DataFrame]) -> float | None:
    """The probability of backtest overfitting of choosing among all these trials, over their common days."""
    table: pl.DataFrame | None = None
    for place, one in enumerate(trials):
        named = one.rename({name: f"{place}_{name}" for name in one.columns if name != "day"})
        table = named if table is None else table.join(named, on="day")
    return None if table is None else overfitting_probability(table.sort("day").drop("day").to_numpy())


def as_json(found: Overfitting) -> Mapping[str, float | int]:
    """Its figures, those that exist."""
    return {name: value for name, value in vars(found).items() if value is not None}

"""What a report draws of predictions: calibration, density, skill over time and by currency, equity, costs.

Pure arithmetic over scored rows known at whole hours; every band is 90 %, of the block bootstrap
that the figures themselves have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS, bootstrap_bands
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.labels import HORIZON, HORIZON_HOURS
from cryptobot_assets.domain.metrics import IC_BLOCK_HOURS
from cryptobot_assets.domain.pool_value import BLOCK_DAYS, OVERLAP_DAYS
from cryptobot_assets.domain.portfolio import Run

TENTHS = 10
MOST_BPS = 50.0
COST_STEPS = 51
WIDTH, HEIGHT = 44, 32
"""Cells of a density."""

Band = tuple[np.ndarray, np.ndarray]
"""Lows and highs, a pair for each point drawn."""


@dataclass(frozen=True)
class Calibration:
    """Rows in tenths of the prediction, lowest first: what was said, and what came of it on average.

    Attributes:
        predicted, realised: (k,) mean 24 h returns; rows: (k,) how many.
        band: of `realised`, days resampled; None with too few days.
    """

    predicted: np.ndarray
    realised: np.ndarray
    rows: np.ndarray
    band: Band | None


def calibration(rows: pl.DataFrame, *, seed: int, draws: int = DRAWS) -> Calibration:
    """Tenths of hourly rows by prediction; equal predictions stay together, so there may be fewer than ten."""
    rank = (pl.col("predicted_return").rank("min") - 1) * TENTHS // pl.len()
    table = (
        rows.with_columns(tenth=rank.cast(pl.Int64).clip(0, TENTHS - 1), day=pl.col("time").dt.truncate("1d"))
        .group_by("day", "tenth")
        .agg(pl.col("predicted_return", "realised_return").sum(), rows=pl.len())
    )
    days, day = np.unique(table["day"].dt.epoch("s").to_numpy(), return_inverse=True)
    tenths, tenth = np.unique(table["tenth"].to_numpy(), return_inverse=True)
    sums = np.zeros((len(days), 3, len(tenths)))
    for place, name in enumerate(("predicted_return", "realised_return", "rows")):
        sums[day, place, tenth] = table[name].to_numpy()
    predicted, realised, count = sums.sum(axis=0)

    def means(drawn: np.ndarray) -> np.ndarray:
        _, total, number = drawn.sum(axis=0)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    bands = bootstrap_bands(sums, means, block=BLOCK_DAYS, overlap=OVERLAP_DAYS, seed=seed, draws=draws)
    return Calibration(predicted / count, realised / count, count.astype(int), None if bands is None else tuple(bands))


@dataclass(frozen=True)
class Density:
    """How many rows fall into each cell of prediction x outcome.

    Attributes:
        predicted, realised: edges of the cells, (WIDTH + 1,) and (HEIGHT + 1,).
        counts: (WIDTH, HEIGHT).
        outside: rows beyond the edges, which take the middle 99 % of both.
    """

    predicted: np.ndarray
    realised: np.ndarray
    counts: np.ndarray
    outside: int


def density(rows: pl.DataFrame) -> Density:
    """Rows counted over a grid of prediction x outcome."""
    predicted, realised = rows["predicted_return"].to_numpy(), rows["realised_return"].to_numpy()
    x, y = (_edges(values, cells) for values, cells in ((predicted, WIDTH), (realised, HEIGHT)))
    counts, _, _ = np.histogram2d(predicted, realised, bins=(x, y))
    return Density(x, y, counts.astype(int), rows.height - int(counts.sum()))


def _edges(values: np.ndarray, cells: int) -> np.ndarray:
    low, high = np.quantile(values, [0.005, 0.995])
    if high - low < 1e-9:
        low, high = low - 5e-4, high + 5e-4
    return np.linspace(low, high, cells + 1)


@dataclass(frozen=True)
class SkillCourse:
    """Skill week by week.

    Attributes:
        weeks: first instant of each week (Mondays) that has hours.
        of_week: (w,) mean skill of the week's hours.
        so_far: (w,) mean of all hours up to the week's end.
        band: of `so_far`; None with too few hours.
    """

    weeks: tuple[datetime, ...]
    of_week: np.ndarray
    so_far: np.ndarray
    band: Band | None


def skill_course(skill: pl.DataFrame, *, seed: int, draws: int = DRAWS) -> SkillCourse:
    """Weekly course of hourly skill (columns time, skill, sorted by time).

    The last `so_far` is the mean of all; its band is the interval reported with it, moved along for
    the earlier ones: where the mean of so many hours would lie around the mean found.
    """
    if skill.is_empty():
        return SkillCourse((), np.array([]), np.array([]), None)
    weekly = skill.group_by(pl.col("time").dt.truncate("1w"), maintain_order=True).agg(
        pl.col("skill").mean(), n=pl.len()
    )
    ends = np.cumsum(weekly["n"].to_numpy())
    values = skill["skill"].to_numpy()
    so_far = np.cumsum(values)[ends - 1] / ends
    overall = values.mean()
    bands = bootstrap_bands(
        values,
        lambda drawn: np.cumsum(drawn)[ends - 1] / ends - overall,
        block=IC_BLOCK_HOURS,
        overlap=HORIZON_HOURS,
        middle=0.0,
        seed=seed,
        draws=draws,
    )
    band = None if bands is None else (so_far + bands[0], so_far + bands[1])
    return SkillCourse(tuple(weekly["time"]), weekly["skill"].to_numpy(), so_far, band)


def skill_by_currency(rows: pl.DataFrame) -> pl.DataFrame:
    """Rank correlation over time of prediction and return: columns currency, ic, reach, best first.

    `reach`: 90 % of currencies without skill lie within plus or minus this, as many days counted as
    independent as there are hours / 24. Currencies with a constant side are absent.
    """
    ranked = rows.select(
        "currency", *(pl.col(name).rank().over("currency") for name in ("predicted_return", "realised_return"))
    )
    days = pl.len() * HOUR / HORIZON
    return (
        ranked.group_by("currency")
        .agg(ic=pl.corr("predicted_return", "realised_return"), reach=1.6449 / days.sqrt())
        .filter(pl.col("ic").is_finite())
        .sort("ic", "currency", descending=[True, False])
    )


def equity_band(daily: np.ndarray, *, seed: int, draws: int = DRAWS) -> Band | None:
    """Where 90 % of resampled histories lie after each day, from 1: two (days + 1,); None with too few days.

    Args:
        daily: (days, sleeves) growth factor of each sleeve's each day. The last pair is the interval
            of the pool value itself.
    """
    bands = bootstrap_bands(
        np.log(daily),
        lambda drawn: np.exp(np.cumsum(drawn, axis=0)).mean(axis=1),
        block=BLOCK_DAYS,
        overlap=OVERLAP_DAYS,
        positive=True,
        seed=seed,
        draws=draws,
    )
    if bands is None:
        return None
    lows, highs = (np.concatenate([[1.0], side]) for side in bands)
    return lows, highs


def cost_curve(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Value of a run at costs of 0 to `MOST_BPS` basis points a side: costs, multiples of capital."""
    costs = np.linspace(0.0, MOST_BPS, COST_STEPS)
    return costs, np.array([run.value(one / 10_000) for one in costs])


def days_from(first: np.datetime64, count: int) -> Sequence[datetime]:
    """`count` instants a day apart."""
    start = first.astype("datetime64[us]").astype(datetime)
    return [start + number * DAY for number in range(count)]

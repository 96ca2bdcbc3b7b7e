"""Prediction intervals that hold what they promise, and a check of whether they did.

Split conformal intervals (Papadopoulos et al., 2002; Lei et al., 2018): around a prediction stand
the quantiles of what earlier predictions missed, each made by a model that had not seen the row.
They hold for exchangeable residuals; returns are not, so the share of later outcomes that really
fell inside is told beside the share promised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS, Interval, bootstrap_interval
from cryptobot_assets.domain.labels import HORIZON_HOURS
from cryptobot_assets.domain.metrics import IC_BLOCK_HOURS, at_whole_hours

LEVEL = 0.90
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Coverage:
    """Out-of-sample outcomes inside the interval that was served with their prediction.

    Attributes:
        nominal: the share promised. realised: the share found, over rows known at whole hours.
        ci: 90 % interval of the latter, in blocks of two days; None where there are too few hours.
        rows: rows counted.
    """

    nominal: float
    realised: float
    ci: Interval
    rows: int


def residual_bounds(residuals: np.ndarray, *, level: float = LEVEL) -> Bounds:
    """What to add to a prediction for the ends of its interval, of residuals (n,), realised less predicted.

    Each end is missed by at most (1 - level) / 2 of n + 1 exchangeable residuals, wherever n is large
    enough for that; else the ends are the residuals' own.

    >>> residual_bounds(np.arange(1.0, 20.0))
    (1.0, 19.0)
    """
    ordered = np.sort(residuals)
    tail = (len(ordered) + 1) * (1 - level) / 2
    below = max(math.floor(tail + 1e-9), 1)
    return float(ordered[below - 1]), float(ordered[len(ordered) - below])


def interval_coverage(
    rows: pl.DataFrame, bounds: Mapping[str, Bounds], interval: str, *, seed: int, draws: int = DRAWS
) -> Coverage | None:
    """How many outcomes fell inside, None where no row's version has bounds.

    Args:
        rows: time, version, predicted_return, realised_return, the last one known.
        bounds: of each version, see `residual_bounds`.
    """
    counted = at_whole_hours(rows, interval).filter(pl.col("version").is_in(list(bounds)))
    if counted.is_empty():
        return None
    low, high = (pl.col("version").replace_strict({v: b[end] for v, b in bounds.items()}) for end in (0, 1))
    missed = pl.col("realised_return") - pl.col("predicted_return")
    hours = (
        counted.select("time", inside=missed.is_between(low, high))
        .group_by("time")
        .agg(pl.col("inside").sum(), pl.len().alias("rows"))
        .sort("time")
        .select(pl.col("inside", "rows").cast(pl.Float64))
        .to_numpy()
    )
    ci = bootstrap_interval(hours, _share, block=IC_BLOCK_HOURS, overlap=HORIZON_HOURS, seed=seed, draws=draws)
    return Coverage(LEVEL, _share(hours), ci and (max(ci[0], 0.0), min(ci[1], 1.0)), counted.height)


def _share(hours: np.ndarray) -> float:
    inside, rows = hours.sum(axis=0)
    return float(inside / rows)

"""Intervals for figures of dependent samples: the stationary block bootstrap, widened to hold what it says.

Politis and Romano, The Stationary Bootstrap (1994): blocks of geometric length keep the
dependence that 24 h labels put between neighbouring hours. On spans of weeks or months their plain
percentiles are too narrow (a 90 % interval of 30 days holds the truth 75 to 82 times in 100), for
three reasons with known sizes, which `understatement` puts right:

- a block that ends cuts a label's ties to its neighbours: with labels of `overlap` rows the
  autocovariance at lag k, 1 - k / overlap of the variance, is counted (1 - 1 / block)^k times;
- deviations are taken from the sample's own mean, which leaves out 2 * block / n of the variance;
- the variance is learnt from about n / block independent pieces: Student's t, not the normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

LEVEL = 0.90
DRAWS = 1000
FEWEST_SAMPLES = 5
"""Below this an interval would be a pretence; None is given instead."""
LEAST_VARIANCE_LEFT = 0.2
MOST_KEPT = 5_000_000
"""Row positions of one bootstrap that are kept: 20 MB."""

Interval = tuple[float, float] | None


def bootstrap_interval(
    samples: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    *,
    block: float,
    overlap: float = 1.0,
    positive: bool = False,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Interval of `statistic` over resampled rows of `samples`: percentiles, widened about its value.

    Args:
        samples: (n, ...) in order of time; whole rows are resampled.
        block: mean block length in rows; cut to a third of n.
        overlap: rows over which a row's label reaches: 24 for hourly rows of 24 h returns.
        positive: the statistic is a multiple, above 0: widened in its logarithm.
        level: coverage aimed at, 0.90 by default.

    Returns:
        (low, high), or None with fewer than `FEWEST_SAMPLES` rows or no draws.
    """
    bands = bootstrap_bands(
        samples, statistic, block=block, overlap=overlap, positive=positive, seed=seed, draws=draws, level=level
    )
    return None if bands is None else (float(bands[0]), float(bands[1]))


def bootstrap_bands(
    samples: np.ndarray,
    statistic: Callable[[np.ndarray], float | np.ndarray],
    *,
    block: float,
    overlap: float = 1.0,
    positive: bool = False,
    middle: float | np.ndarray | None = None,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> np.ndarray | None:
    """The same intervals for a statistic of several figures at once, each by itself: (2, ...) lows and highs.

    Draws in which a figure does not exist (NaN) are left out of its interval.

    Args:
        middle: what they are widened about; the statistic's value where not given.
    """
    if len(samples) < FEWEST_SAMPLES or not draws:
        return None
    block = max(min(block, len(samples) / 3), 1)
    values = np.array([statistic(samples[rows]) for rows in _resampled(len(samples), block, seed, draws)])
    bounds = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    middle = statistic(samples) if middle is None else middle
    factor = understatement(len(samples), block=block, overlap=overlap, level=level)
    plain: np.ndarray = middle + factor * (bounds - middle)
    if not positive:
        return plain
    known = np.minimum(bounds[0], middle) > 0
    safe_bounds, safe_middle = np.where(known, bounds, 1.0), np.where(known, middle, 1.0)
    return np.where(known, safe_middle * (safe_bounds / safe_middle) ** factor, plain)


def _resampled(rows: int, block: float, seed: int, draws: int) -> Iterable[np.ndarray]:
    """Positions of the rows of each draw; of short samples kept, since a report asks for the same ones many times."""
    if rows * draws > MOST_KEPT:
        return _draw_rows(rows, block, seed, draws)
    return _kept(rows, block, seed, draws)


@lru_cache(maxsize=8)
def _kept(rows: int, block: float, seed: int, draws: int) -> np.ndarray:
    return np.stack(list(_draw_rows(rows, block, seed, draws)))


def _draw_rows(rows: int, block: float, seed: int, draws: int) -> Iterator[np.ndarray]:
    from arch.bootstrap import StationaryBootstrap  # a second of imports that only reports need

    mean_length: Any = block  # any number, which the library's types have as a whole one
    resampled = StationaryBootstrap(mean_length, np.arange(rows, dtype=np.int32), seed=seed)
    return (drawn[0] for drawn, _ in resampled.bootstrap(draws))


def understatement(rows: int, *, block: float, overlap: float, level: float = LEVEL) -> float:
    """How many times too narrow the plain percentile interval of a mean is, at least 1.

    >>> [round(understatement(days * 24, block=48, overlap=24), 2) for days in (30, 90, 240)]
    [1.24, 1.13, 1.1]
    """
    if block <= 1:
        return 1.0
    from scipy.special import ndtri, stdtrit  # a third of a second of imports that only reports need

    lags = np.arange(1, math.ceil(overlap))
    ties = 1 - lags / overlap
    counted = (1 + 2 * np.sum(ties * (1 - 1 / block) ** lags)) / (1 + 2 * np.sum(ties))
    left = max(1 - 2 * block / rows, LEAST_VARIANCE_LEFT)
    high = (1 + level) / 2
    return float(stdtrit(rows / block, high) / ndtri(high) / math.sqrt(counted * left))

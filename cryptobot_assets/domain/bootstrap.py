"""Intervals for figures of dependent samples: the stationary block bootstrap.

Politis and Romano, The Stationary Bootstrap (1994): blocks of geometric length keep the
dependence that 24 h labels put between neighbouring hours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LEVEL = 0.90
DRAWS = 1000
FEWEST_SAMPLES = 5
"""Below this an interval would be a pretence; None is given instead."""

Interval = tuple[float, float] | None


def bootstrap_interval(
    samples: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    *,
    block: float,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Percentile interval of `statistic` over resampled rows of `samples`.

    Args:
        samples: (n, ...) in order of time; whole rows are resampled.
        block: mean block length in rows; cut to a third of n.
        level: coverage aimed at, 0.90 by default.

    Returns:
        (low, high), or None with fewer than `FEWEST_SAMPLES` rows or no draws.
    """
    if len(samples) < FEWEST_SAMPLES or not draws:
        return None
    from arch.bootstrap import StationaryBootstrap  # a second of imports that only reports need

    resampled = StationaryBootstrap(max(min(block, len(samples) / 3), 1), samples, seed=seed)
    values = [statistic(drawn[0]) for drawn, _ in resampled.bootstrap(draws)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

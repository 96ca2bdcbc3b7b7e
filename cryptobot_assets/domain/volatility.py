"""Trailing volatility of a row, read from the row's own lag features.

The lags of the close tell where the price stood at a few dozen instants of the last weeks, and
the returns between them how much it swings. So whoever has a row's features has its volatility,
known at the same instant, in training as in serving.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryptobot_assets.domain.features import lag_hours

FEWEST_LAGS = 5
SMALLEST_RATIO = 1e-6
"""A price of so little of today's stands for whatever lower one a caller may send."""


def has_volatility(features: Sequence[str]) -> bool:
    """Whether rows of these features tell their volatility."""
    return sum(lag_hours(name) is not None for name in features) >= FEWEST_LAGS


def trailing_volatility(X: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """Deviation of 24 h log returns, about zero, over the span of the lags: (rows,), >= 0.

    Args:
        X: (rows, features), finite.
        features: names of the columns, with at least `FEWEST_LAGS` lags of the close.

    >>> steps = [f"close_lag_{24 * n}h" for n in range(1, 6)]
    >>> trailing_volatility(np.array([[1.1**n - 1 for n in range(1, 6)]]), steps).round(4).tolist()
    [0.0953]
    """
    hours = np.array([lag_hours(name) or 0 for name in features])
    columns = np.flatnonzero(hours)
    if len(columns) < FEWEST_LAGS:
        raise ValueError(f"{len(columns)} lags of the close are too few to tell volatility by")
    columns = columns[np.argsort(hours[columns], kind="stable")]
    ratios = np.maximum(1 + X[:, columns], SMALLEST_RATIO)
    steps = np.diff(np.log(ratios), axis=1, prepend=0.0)
    volatility: np.ndarray = np.sqrt(np.sum(steps**2, axis=1) * 24 / hours[columns].max())
    return volatility

"""Forecasts that need no learning, under the same protocol as the models that should beat them.

`zero` says that nothing will happen; `momentum` that the last stretch will go on, or turn, by a
share of it. Both are saved as the lines that they are. The third baseline, `ar`, is least squares
on the daily past and lives with the linear algorithms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryptobot_assets.models.base import Choice, Params, Range, Space
from cryptobot_assets.models.linear import FittedLinear, fixed_line

LOOKBACK_HOURS = ("24", "48", "168", "336", "672")
"""In the order of the columns, which are lags of the close of so many hours."""


@dataclass(frozen=True)
class Zero:
    """Predicts zero, whatever the row."""

    name = "zero"

    @property
    def space(self) -> Space:
        """Nothing of its own to search."""
        return {}

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        params: Params,
        seed: int,
        weight: np.ndarray | None = None,
        threads: int = 1,
        time: np.ndarray | None = None,
    ) -> FittedLinear:
        """Nothing is learned."""
        return fixed_line(X, np.zeros(X.shape[1]))


@dataclass(frozen=True)
class Momentum:
    """A share of the past return, seen from now: -lag is how far the price came since, in today's price."""

    name = "momentum"

    @property
    def space(self) -> Space:
        """Which past, and the share of it: below zero it turns."""
        return {
            "lookback_hours": Choice(LOOKBACK_HOURS, default="24"),
            "share": Range(-0.3, 0.3, default=0.05),
        }

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        params: Params,
        seed: int,
        weight: np.ndarray | None = None,
        threads: int = 1,
        time: np.ndarray | None = None,
    ) -> FittedLinear:
        """Nothing is learned but by tuning."""
        coefficients = np.zeros(X.shape[1])
        coefficients[LOOKBACK_HOURS.index(str(params["lookback_hours"]))] = -float(params["share"])
        return fixed_line(X, coefficients)


ZERO = Zero()
MOMENTUM = Momentum()

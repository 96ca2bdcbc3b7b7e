"""How many trees: a number, or as many as predict the last training rows best.

    train ##################|purge|last ====        boost until `last` has not gained for a while
    train ##################################        boost as many trees on all rows

The rows that are tested on have no say in it: `last` is the end of the training rows, and no label
that is trained on reaches into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.splits import last_part
from cryptobot_assets.models.base import Choice

STOPPING = Choice(("none", "early"), default="none")
LAST_SHARE = 0.2
PATIENCE = 10
"""Trees without a gain after which boosting stops."""


@dataclass(frozen=True)
class BoostingRows:
    """Rows to boost on: X (rows, features), y (rows,), weight (rows,) or None for all alike."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    @property
    def mass(self) -> float:
        """Sum of the weights."""
        return float(len(self.y) if self.weight is None else self.weight.sum())

    def take(self, rows: np.ndarray) -> BoostingRows:
        """The rows named by an index."""
        return BoostingRows(self.X[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    def apart(self, time: np.ndarray | None) -> tuple[BoostingRows, BoostingRows]:
        """The rows before the last part, purged, and the last part.

        Raises:
            ValueError: the rows came without their times.
            NotEnoughHistory: there is nothing before the last part.
        """
        before, last = last_rows(time)
        return self.take(before), self.take(last)


def require_times(time: np.ndarray | None) -> np.ndarray:
    """The times of rows; raises `ValueError` where they came without."""
    if time is None:
        raise ValueError("what comes last is asked for: the times of the rows are needed")
    return time


def last_rows(time: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows before the last part, purged, and of the last part; raises as `apart` does."""
    fold = last_part(require_times(time), share=LAST_SHARE, horizon=HORIZON)
    return fold.train, fold.test

"""Walk-forward folds, purged by the label's horizon.

All currencies are cut at the same instants. A training row whose label reaches into the test
span is dropped (the purge), so that no test return is known while fitting::

    fold 1   train ##########|purge|test ====
    fold 2   train ################|purge|test ====
    fold 3   train ######################|purge|test ====
             time ------------------------------------------>
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np

from cryptobot_assets.errors import NotEnoughHistory

FIRST_TRAIN_SHARE = 0.4
"""Share of the span that only ever trains; the rest is cut evenly into test spans."""


@dataclass(frozen=True)
class Fold:
    """One fold: integer row positions to train on and to test on, test wholly after train."""

    train: np.ndarray
    test: np.ndarray


def walk_forward(times: np.ndarray, *, folds: int, horizon: timedelta) -> list[Fold]:
    """Expanding-window folds over rows with these times.

    Args:
        times: (n,) datetime64, any order, several rows a time allowed.
        folds: how many test spans of equal length.
        horizon: length of a label; training rows with time + horizon > first test time are purged.

    Raises:
        NotEnoughHistory: a fold would have no training or no test row.

    >>> import numpy as np
    >>> hours = np.datetime64("2024-01-01T00", "us") + np.arange(240) * np.timedelta64(1, "h")
    >>> [(len(fold.train), len(fold.test)) for fold in walk_forward(hours, folds=2, horizon=timedelta(hours=24))]
    [(73, 72), (145, 72)]
    """
    unique = np.unique(times)
    bounds = [int(len(unique) * (FIRST_TRAIN_SHARE + (1 - FIRST_TRAIN_SHARE) * k / folds)) for k in range(folds + 1)]
    made = []
    for first, last in pairwise(bounds):
        if first >= last:
            raise _too_short(unique, folds)
        test_start, test_last = unique[first], unique[last - 1]
        train = np.flatnonzero(times + np.timedelta64(horizon) <= test_start)
        test = np.flatnonzero((times >= test_start) & (times <= test_last))
        if not len(train) or not len(test):
            raise _too_short(unique, folds)
        made.append(Fold(train=train, test=test))
    return made


def last_part(times: np.ndarray, *, share: float, horizon: timedelta) -> Fold:
    """One fold whose test rows are those of the last `share` of the distinct times; purged likewise.

    Raises:
        NotEnoughHistory: it would have no training or no test row.
    """
    unique = np.unique(times)
    first = int(len(unique) * (1 - share))
    if first >= len(unique):
        raise _too_short(unique, 1)
    train = np.flatnonzero(times + np.timedelta64(horizon) <= unique[first])
    if not len(train):
        raise _too_short(unique, 1)
    return Fold(train=train, test=np.flatnonzero(times >= unique[first]))


def _too_short(unique: np.ndarray, folds: int) -> NotEnoughHistory:
    span = f"{unique[0]} to {unique[-1]}" if len(unique) else "no rows at all"
    return NotEnoughHistory(
        f"the training rows ({span}) do not fill {folds} folds after the purge: "
        "ingest more days, use a later cutoff or fewer folds"
    )

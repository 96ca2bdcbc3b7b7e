"""How much of a label is its own, among labels that overlap.

A label that ends 24 hours after its row shares its hours with those of the rows around it:
fifty overlapping rows tell little more than one. The average uniqueness of a label is the mean,
over the hours it lasts, of 1 / the number of labels of its currency that last then (Lopez de
Prado, Advances in Financial Machine Learning, 2018, chapter 4)::

    row 1   ------------            alone for a third, then with row 2: 1/3 + 2/3 * 1/2 = 2/3
    row 2       ------------        the same the other way round:                         2/3
    row 3                       ------------   shares nothing:                              1
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np


def average_uniqueness(times: np.ndarray, currencies: np.ndarray, horizon: timedelta) -> np.ndarray:
    """Average uniqueness (n,) in (0, 1] of the labels of these rows, counted among these rows alone.

    Args:
        times: (n,) datetime64, any order.
        currencies: (n,) names; labels of different currencies are different returns.
        horizon: length of a label.

    >>> hours = np.array([0, 8, 24], dtype="datetime64[h]")
    >>> average_uniqueness(hours, np.array(["A", "A", "A"]), timedelta(hours=12)).round(3).tolist()
    [0.667, 0.667, 1.0]
    """
    starts = times.astype("datetime64[us]").astype(np.int64)
    length = round(horizon.total_seconds() * 1_000_000)
    made = np.empty(len(times))
    _, codes = np.unique(currencies.astype(str), return_inverse=True)
    order = np.lexsort((starts, codes))
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []:
        made[rows] = _of_sorted(starts[rows], length)
    return made


def _of_sorted(starts: np.ndarray, length: int) -> np.ndarray:
    """Of one currency's labels in order of time: the integral of 1 / how many last, between instants of change."""
    changes = np.unique(np.concatenate([starts, starts + length]))
    begun = np.searchsorted(starts, changes, side="right")
    ended = np.searchsorted(starts + length, changes, side="right")
    lasting = np.maximum(begun - ended, 1)[:-1]
    integral = np.concatenate([[0.0], np.cumsum(np.diff(changes) / lasting)])
    ends = np.searchsorted(changes, starts + length)
    mean: np.ndarray = (integral[ends] - integral[np.searchsorted(changes, starts)]) / length
    return mean

"""Feature drift: whether recent rows are spread as the rows a model was trained on.

The population stability index compares shares in the tenths of the training rows: the sum of
(recent - trained) * ln(recent / trained), 0 for equal shares (Siddiqi, Credit Risk Scorecards,
2006). Rules of thumb call 0.25 a shift, for independent rows. A month of a market is no such
thing: prices wander, so any month differs from a whole year. So beside each index stands what
spans of the same length, cut from the training rows themselves, show::

    training rows  |-----|-----|-----|-----|-----|   each span against all: the usual range
    recent rows                                    |-----|   against all: drift where it is above
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TENTHS = 10
LEAST_SHARE = 1e-4
"""Share counted for a tenth that nothing falls into, so that the index stays finite."""
FEWEST_SPANS = 3
"""Below this the training rows say nothing about what is usual."""
USUAL = 0.9


@dataclass(frozen=True)
class Drift:
    """One feature's drift.

    Attributes:
        index: of the recent rows against the training rows.
        usual: 90 % of spans within the training rows are at or below this; None with too few of them.
    """

    feature: str
    index: float
    usual: float | None

    @property
    def drifted(self) -> bool:
        """Whether it is above what is usual."""
        return self.usual is not None and self.index > self.usual


def stability_index(trained: np.ndarray, recent: np.ndarray) -> float:
    """Population stability index of finite values against others.

    >>> round(stability_index(np.arange(100.0), np.arange(100.0)), 3)
    0.0
    """
    return _index(_shares(trained, edges := _edges(trained)), _shares(recent, edges))


def feature_drifts(
    features: Sequence[str],
    trained: np.ndarray,
    trained_times: np.ndarray,
    recent: np.ndarray,
    recent_times: np.ndarray,
) -> list[Drift]:
    """Drift of every feature, the largest against its usual range first.

    Args:
        trained, recent: (n, k) and (m, k) finite values. *_times: datetime64, sorted, of their rows.
    """
    if not len(trained) or not len(recent):
        return []
    spans = _spans(trained_times, recent_times[-1] - recent_times[0])
    found = []
    for column, feature in enumerate(features):
        edges = _edges(trained[:, column])
        base = _shares(trained[:, column], edges)
        usual = [_index(base, _shares(trained[rows, column], edges)) for rows in spans]
        limit = float(np.quantile(usual, USUAL)) if len(usual) >= FEWEST_SPANS else None
        found.append(Drift(feature, _index(base, _shares(recent[:, column], edges)), limit))
    return sorted(found, key=lambda one: -one.index / max(one.usual or 1.0, LEAST_SHARE))


def _spans(times: np.ndarray, length: np.timedelta64) -> list[slice]:
    """Rows of consecutive spans of a length, from the first on; what is left over belongs to none."""
    if length <= np.timedelta64(0):
        return []
    count = math.floor((times[-1] - times[0]) / length)
    borders = np.searchsorted(times, times[0] + length * np.arange(count + 1))
    return [slice(first, last) for first, last in itertools.pairwise(borders) if last > first]


def _edges(values: np.ndarray) -> np.ndarray:
    """Borders of the tenths, without those that many equal values make equal."""
    return np.unique(np.quantile(values, np.arange(1, TENTHS) / TENTHS))


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), LEAST_SHARE)


def _index(trained: np.ndarray, recent: np.ndarray) -> float:
    return float(np.sum((recent - trained) * np.log(recent / trained)))

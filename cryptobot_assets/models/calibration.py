"""What a score is worth: a line from scores to returns that never falls.

Scores are cut into bins of as many rows each; a bin's worth is its mean return, and neighbours that
would make the line fall are given their common mean (pool adjacent violators; Barlow et al., 1972).
"""

from __future__ import annotations

import numpy as np

BINS = 20


def rising_knots(scores: np.ndarray, returns: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(score, return) pairs, both rising, of rows (n,), n >= 1.

    >>> rising_knots(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.3, 0.1, 0.5]))
    ((1.0, 0.0), (2.0, 0.2), (3.0, 0.2), (4.0, 0.5))
    """
    bins = np.array_split(np.argsort(scores, kind="stable"), min(BINS, len(scores)))
    centres = np.array([scores[rows].mean() for rows in bins])
    worth = np.array([returns[rows].mean() for rows in bins])
    apart, where = np.unique(centres, return_inverse=True)
    sizes = np.bincount(where, weights=[len(rows) for rows in bins])
    means = np.bincount(where, weights=[len(rows) * value for rows, value in zip(bins, worth, strict=True)]) / sizes
    return tuple(zip(apart.tolist(), _rising(means, sizes).tolist(), strict=True))


def _rising(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The rising sequence nearest to `values` in squares weighted by `sizes`."""
    blocks: list[tuple[float, float, int]] = []
    for value, size in zip(values.tolist(), sizes.tolist(), strict=True):
        block = (value, size, 1)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            both = before[1] + block[1]
            block = ((before[0] * before[1] + block[0] * block[1]) / both, both, before[2] + block[2])
        blocks.append(block)
    return np.concatenate([np.full(count, value) for value, _, count in blocks])

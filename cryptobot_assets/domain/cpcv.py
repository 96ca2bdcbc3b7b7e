"""Combinatorial purged cross-validation, and folds that hold currencies out.

The distinct times are cut into N groups, for all currencies at the same instants, and every choice of
k of them is tested once. What remains trains, less what the purge takes on both sides of a test span
(labels that overlap) and, after it, the embargo (rows whose features have just seen it)::

    groups         1        2        3        4        5        6
    one fold   ########|p|====|p|e|########|p|====|p|e|################        p purge, e embargo

Each group is tested in C(N-1, k-1) folds, so that their predictions make as many paths through the
whole time, where walk-forward has one: a figure gets a spread. But most rows of a fold train on what
comes after them too, so it is no picture of what could have been earned. Lopez de Prado, Advances in
Financial Machine Learning (2018), chapters 7 and 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations

import numpy as np

from cryptobot_assets.domain.splits import Fold
from cryptobot_assets.errors import NotEnoughHistory


@dataclass(frozen=True)
class Combinatorial:
    """Every fold of a cut into groups.

    Attributes:
        folds: one a choice of tested groups.
        tested: numbers of the groups that each fold tests, sorted.
        group: (n,) number of the group of each row.
    """

    folds: tuple[Fold, ...]
    tested: tuple[tuple[int, ...], ...]
    group: np.ndarray

    def paths(self, predicted: Sequence[np.ndarray]) -> np.ndarray:
        """Predictions of the folds, one number a test row, put together as whole paths (paths, n)."""
        used = dict.fromkeys(np.unique(self.group).tolist(), 0)
        whole = np.full((sum(0 in chosen for chosen in self.tested), len(self.group)), np.nan)
        for fold, chosen, numbers in zip(self.folds, self.tested, predicted, strict=True):
            for group in chosen:
                inside = self.group[fold.test] == group
                whole[used[group], fold.test[inside]] = numbers[inside]
                used[group] += 1
        return whole


def combinatorial_folds(
    times: np.ndarray, *, groups: int, test_groups: int, horizon: timedelta, embargo: timedelta
) -> Combinatorial:
    """Every choice of `test_groups` among `groups` spans of equally many distinct times.

    A row at t trains beside tested rows from s to e, of one span, where t + horizon <= s or
    t >= e + horizon + embargo.

    Args:
        times: (n,) datetime64, any order, several rows a time allowed.
        horizon: length of a label.
        embargo: how long after the last label of a test span no row trains.

    Raises:
        NotEnoughHistory: a fold would have no training or no test row.

    >>> import numpy as np
    >>> hours = np.datetime64("2024-01-01T00", "us") + np.arange(600) * np.timedelta64(1, "h")
    >>> day = timedelta(hours=24)
    >>> made = combinatorial_folds(hours, groups=6, test_groups=2, horizon=day, embargo=day)
    >>> len(made.folds), made.tested[0], len(made.folds[0].test), int(made.folds[0].train[0])
    (15, (0, 1), 200, 247)
    """
    unique = np.unique(times)
    if len(unique) < groups:
        raise _too_short(groups)
    starts = [part[0] for part in np.array_split(unique, groups)]
    group = np.searchsorted(np.array(starts), times, side="right") - 1
    tested = tuple(combinations(range(groups), test_groups))
    folds = []
    for chosen in tested:
        inside = np.isin(group, chosen)
        test = np.flatnonzero(inside)
        train = np.flatnonzero(~inside & ~_near(times, np.unique(times[test]), horizon, embargo))
        if not len(train):
            raise _too_short(groups)
        folds.append(Fold(train=train, test=test))
    return Combinatorial(tuple(folds), tested, group)


def _near(times: np.ndarray, tested: np.ndarray, horizon: timedelta, embargo: timedelta) -> np.ndarray:
    """Which times lie less than the horizon before one of the sorted tested times, or not long enough after one."""
    after = np.searchsorted(tested, times)
    next_one, previous = tested[np.minimum(after, len(tested) - 1)], tested[np.maximum(after - 1, 0)]
    before = (after < len(tested)) & (times + np.timedelta64(horizon) > next_one)
    return before | ((after > 0) & (times < previous + np.timedelta64(horizon + embargo)))


def currencies_apart(folds: Sequence[Fold], currencies: np.ndarray, *, parts: int) -> list[Fold]:
    """Each fold once a part of the currencies: that part is tested, all others train.

    Times are cut and purged as in `folds`: currencies rise and fall together, so that one held out
    at times that others train on would be no stranger.

    Args:
        currencies: (n,) name of each row's currency.
        parts: of how many, at most the number of currencies; the names are dealt out in order.

    >>> import numpy as np
    >>> fold = Fold(train=np.arange(4), test=np.arange(4, 8))
    >>> one, two = currencies_apart([fold], np.tile(["A", "B"], 4), parts=2)
    >>> one.train.tolist(), one.test.tolist()
    ([1, 3], [4, 6])
    """
    names = np.unique(currencies.astype(str))
    part = np.searchsorted(names, currencies.astype(str)) % min(parts, len(names))
    made = [
        Fold(train=fold.train[part[fold.train] != number], test=fold.test[part[fold.test] == number])
        for fold in folds
        for number in range(min(parts, len(names)))
    ]
    return [fold for fold in made if len(fold.train) and len(fold.test)]


def _too_short(groups: int) -> NotEnoughHistory:
    return NotEnoughHistory(
        f"the training rows do not fill {groups} groups after purge and embargo: "
        "ingest more days, or set CRYPTOBOT_SECOND_LOOK_ROWS=0 to do without"
    )

"""Combinatorial folds beside purgedcv's own, purged and embargoed on both sides; currencies held out."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from purgedcv import CombinatorialPurgedCV

from cryptobot_assets.domain.cpcv import combinatorial_folds, currencies_apart
from cryptobot_assets.domain.splits import walk_forward
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets_tests.domain.test_splits import hours, panels

DAY = timedelta(hours=24)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(120, 400),
    groups=st.integers(3, 7),
    test_groups=st.integers(1, 2),
    horizon=st.integers(1, 12),
    embargo=st.integers(0, 12),
)
def test_folds_are_those_of_another_implementation(count, groups, test_groups, horizon, embargo):
    times = pd.Series(hours(range(count)))
    embargoed = None if not embargo else pd.Timedelta(hours=embargo) - pd.Timedelta(1, "us")  # theirs is closed
    other = CombinatorialPurgedCV(
        groups,
        test_groups,
        prediction_times=times,
        evaluation_times=times + pd.Timedelta(hours=horizon),
        embargo=embargoed,
    )
    theirs = list(other.split(np.zeros((count, 1))))
    if any(len(train) == 0 for train, _ in theirs):
        return
    made = combinatorial_folds(
        times.to_numpy(),
        groups=groups,
        test_groups=test_groups,
        horizon=timedelta(hours=horizon),
        embargo=timedelta(hours=embargo),
    )
    assert len(made.folds) == len(theirs) == comb(groups, test_groups)
    for fold, (train, test) in zip(made.folds, theirs, strict=True):
        assert np.array_equal(fold.test, test)
        assert np.array_equal(fold.train, train)


@settings(max_examples=25, deadline=None)
@given(times=panels())
def test_every_currency_is_cut_at_the_same_instants_and_purged_on_both_sides(times):
    made = combinatorial_folds(times, groups=5, test_groups=2, horizon=timedelta(hours=6), embargo=timedelta(hours=3))
    for fold in made.folds:
        tested = set(times[fold.test])
        assert not any(time in tested for time in times[fold.train])
        assert len(fold.test) == np.isin(times, times[fold.test]).sum()
        apart = (times[fold.train][:, None] - np.unique(times[fold.test])[None, :]) / np.timedelta64(1, "h")
        assert not ((apart > -6) & (apart < 9)).any()


def test_paths_hold_every_row_once_and_each_of_another_fold():
    times = hours(range(240))
    made = combinatorial_folds(times, groups=6, test_groups=2, horizon=timedelta(hours=2), embargo=timedelta())
    numbers = [np.full(len(fold.test), float(place)) for place, fold in enumerate(made.folds)]
    whole = made.paths(numbers)
    assert whole.shape == (5, 240)
    assert np.isfinite(whole).all()
    for column in whole.T[::40]:
        assert len(set(column)) == 5
    assert {tuple(one) for one in made.tested} == set(combinations(range(6), 2))


@pytest.mark.parametrize("count", [0, 3, 20])
def test_too_short_a_history_says_so(count):
    with pytest.raises(NotEnoughHistory, match="do not fill 6 groups"):
        combinatorial_folds(hours(range(count)), groups=6, test_groups=2, horizon=DAY, embargo=DAY)


def test_currencies_apart_train_on_others_at_other_times():
    rows = np.repeat(np.arange(300), 5)
    names = np.tile(np.array([f"C{n}" for n in range(5)], dtype=object), 300)
    folds = walk_forward(hours(rows), folds=2, horizon=DAY)
    made = currencies_apart(folds, names, parts=3)
    assert len(made) == 6
    tested = np.concatenate([fold.test for fold in made])
    assert np.array_equal(np.sort(tested), np.sort(np.concatenate([fold.test for fold in folds])))
    for fold in made:
        assert not set(names[fold.train]) & set(names[fold.test])
        assert set(names[fold.train]) | set(names[fold.test]) == set(names)
        assert rows[fold.train].max() + 24 <= rows[fold.test].min()


def test_one_currency_alone_cannot_be_held_out():
    names = np.full(300, "BTCUSDT", dtype=object)
    assert currencies_apart(walk_forward(hours(range(300)), folds=2, horizon=DAY), names, parts=3) == []

"""Walk-forward folds: train wholly before test, purged, cut at the same instants for all."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.splits import walk_forward
from cryptobot_assets.errors import NotEnoughHistory

FIRST = np.datetime64("2024-01-01T00", "us")


def hours(numbers) -> np.ndarray:
    return FIRST + np.asarray(numbers) * np.timedelta64(1, "h")


@st.composite
def panels(draw) -> np.ndarray:
    """Times of several currencies, each listed at some hour and with holes, in any order."""
    span = draw(st.integers(150, 500))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        listed = random.integers(0, span // 3)
        parts.append(np.flatnonzero(random.random(span - listed) > 0.1) + listed)
    return hours(random.permutation(np.concatenate(parts)))


@settings(max_examples=60, deadline=None)
@given(times=panels(), folds=st.integers(1, 5), horizon_hours=st.integers(0, 30))
def test_folds_keep_time_in_order(times, folds, horizon_hours):
    horizon = timedelta(hours=horizon_hours)
    made = walk_forward(times, folds=folds, horizon=horizon)
    assert len(made) == folds
    for fold in made:
        first, last = times[fold.test].min(), times[fold.test].max()
        label_ends = times[fold.train] + np.timedelta64(horizon)
        assert label_ends.max() <= first
        left_out = np.setdiff1d(np.arange(len(times)), fold.train)
        assert (times[left_out] + np.timedelta64(horizon) > first).all()
        assert np.array_equal(np.sort(fold.test), np.flatnonzero((times >= first) & (times <= last)))
        assert len(fold.train) and len(fold.test)
    for before, after in pairwise(made):
        assert np.isin(before.train, after.train).all()
        assert times[before.test].max() < times[after.test].min()
    assert times[made[-1].test].max() == times.max()
    tested = np.unique(np.concatenate([times[fold.test] for fold in made]))
    assert np.array_equal(tested, np.unique(times[times >= tested.min()]))


def test_every_currency_is_cut_at_the_same_instants():
    rows = np.repeat(np.arange(300), 3)
    for fold in walk_forward(hours(rows), folds=3, horizon=HORIZON):
        for part in (fold.train, fold.test):
            times, counts = np.unique(rows[part], return_counts=True)
            assert (counts == 3).all()
            assert np.array_equal(times, np.arange(times[0], times[-1] + 1))


@pytest.mark.parametrize("folds", range(1, 31))
def test_the_last_test_span_reaches_the_last_time(folds):
    made = walk_forward(hours(range(1000)), folds=folds, horizon=HORIZON)
    assert made[-1].test[-1] == 999
    assert sum(len(fold.test) for fold in made) == 600


@pytest.mark.parametrize(("count", "folds"), [(0, 1), (1, 1), (5, 6), (59, 2), (24, 1)])
def test_too_short_a_history_says_so(count, folds):
    with pytest.raises(NotEnoughHistory, match=f"do not fill {folds} folds"):
        walk_forward(hours(range(count)), folds=folds, horizon=HORIZON)


def test_the_purge_is_exactly_the_horizon():
    fold = walk_forward(hours(range(100)), folds=1, horizon=timedelta(hours=24))[0]
    assert (fold.test[0], fold.train[-1]) == (40, 16)

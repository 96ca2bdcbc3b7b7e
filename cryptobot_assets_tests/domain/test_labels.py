"""The label: the return of the next 24 hours."""

from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.domain.labels import HORIZON, HORIZON_HOURS, label_array


def test_the_label_is_the_close_24_hours_later_over_this_one():
    closes = np.arange(1.0, 51.0)[:, None]
    labels = label_array(closes)
    assert (HORIZON_HOURS, HORIZON.days) == (24, 1)
    assert labels[0, 0] == 25 / 1 - 1
    assert labels[25, 0] == 50 / 26 - 1
    assert np.isnan(labels[26:]).all()


def test_each_minute_has_its_own_label():
    closes = np.random.default_rng(0).uniform(1, 2, (30, 60))
    labels = label_array(closes)
    assert labels.shape == (30, 60)
    assert labels[5, 17] == closes[29, 17] / closes[5, 17] - 1


@pytest.mark.parametrize("missing", [3, 27])
def test_a_missing_close_leaves_no_label(missing):
    closes = np.ones((40, 1))
    closes[missing] = np.nan
    assert np.flatnonzero(np.isnan(label_array(closes)[:16, 0])).tolist() == [3]


@pytest.mark.parametrize("hours", [0, 1, 24])
def test_less_than_a_day_has_no_labels(hours):
    assert np.isnan(label_array(np.ones((hours, 60)))).all()

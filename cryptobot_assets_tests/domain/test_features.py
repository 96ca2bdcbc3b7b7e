"""Model inputs by name: which there are, and how far back they read."""

from __future__ import annotations

import pytest

from cryptobot_assets.domain.features import DEFAULT_FEATURES, lag_hours, lookback, require_features
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.errors import UsageError


def test_the_default_set_is_the_33_of_the_contract():
    lags = [f"close_lag_{hours}h" for hours in (*range(1, 650, 24), 672)]
    assert list(DEFAULT_FEATURES) == ["close_minmax_scale", "ma7_25h_scale", "ma25_99h_scale", "ma7_25d_scale", *lags]
    assert len(DEFAULT_FEATURES) == len(set(DEFAULT_FEATURES)) == 33
    assert (DEFAULT_FEATURES[5], DEFAULT_FEATURES[-2]) == ("close_lag_25h", "close_lag_649h")


def test_features_are_known_by_name():
    assert require_features(iter(["rsi_14h", "close_lag_5h"])) == ("rsi_14h", "close_lag_5h")
    assert (lag_hours("close_lag_672h"), lag_hours("close_lag_h"), lag_hours("close")) == (672, None, None)
    with pytest.raises(UsageError, match="close_lag_xh, volume"):
        require_features(["close_lag_xh", "rsi_14h", "volume"])
    with pytest.raises(UsageError, match="none given"):
        require_features([])


def test_lookback_is_the_longest_of_its_features():
    assert lookback(["ma7_25h", "close_lag_49h"]) == 50 * HOUR
    assert lookback(["ma25_99d", "close_lag_672h"]) == 99 * DAY
    assert lookback(DEFAULT_FEATURES) == 673 * HOUR

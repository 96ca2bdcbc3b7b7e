from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.contracts.factories import START, hours_after, make_closes
from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.relative import RELATIVE_FEATURES
from cryptobot_assets.domain.samples import make_samples
from cryptobot_assets.domain.volatility import has_volatility, trailing_volatility

LAGS = tuple(name for name in DEFAULT_FEATURES if name.startswith("close_lag"))


def test_it_is_the_deviation_of_the_returns_between_the_lags() -> None:
    closes = make_closes(24 * 40, seed=3)
    samples = make_samples(closes, features=LAGS, interval="1h", start=START, end=hours_after(24 * 40))
    prices = closes["close"].to_numpy()
    last = len(prices) - 1
    points = np.log(prices[[last, *(last - int(name[10:-1]) for name in LAGS)]])
    expected = np.sqrt(np.sum(np.diff(points) ** 2) / 672 * 24)
    assert trailing_volatility(samples.X, LAGS)[-1] == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(0.003 * np.sqrt(24), rel=0.4)


def test_the_order_of_the_columns_does_not_matter() -> None:
    X = np.random.default_rng(0).normal(0, 0.02, (5, len(LAGS)))
    turned = np.arange(len(LAGS))[::-1]
    found = trailing_volatility(X[:, turned], [LAGS[one] for one in turned])
    np.testing.assert_allclose(found, trailing_volatility(X, LAGS))


def test_numbers_that_no_price_gives_are_answered_too() -> None:
    X = np.array([[-5.0] * len(LAGS), [0.0] * len(LAGS), [1e300] * len(LAGS)])
    assert np.isfinite(trailing_volatility(X, LAGS)).all()


def test_ranks_tell_no_volatility() -> None:
    assert has_volatility(DEFAULT_FEATURES)
    assert not has_volatility(RELATIVE_FEATURES)
    with pytest.raises(ValueError, match="0 lags of the close are too few"):
        trailing_volatility(np.zeros((1, len(RELATIVE_FEATURES))), RELATIVE_FEATURES)

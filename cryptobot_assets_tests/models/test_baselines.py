"""What the models must beat: saved, tuned and judged like them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from statsmodels.tsa.ar_model import AutoReg

from cryptobot_assets.contracts.models import (
    default_params,
    fit_default,
    holds_no_pickle,
    make_card,
    make_returns,
    make_training_rows,
)
from cryptobot_assets.domain.promotion import BASELINES, Candidate, best_candidate
from cryptobot_assets.models.algorithms import ALGORITHMS, DEFAULT_ALGORITHMS, features_of
from cryptobot_assets.models.card import write_model
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.models.tuning import tune


def daily_lags(returns: np.ndarray, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Lags of 1 to `days` days and the next day's return, of every day of a series that has them."""
    price = np.cumprod(1 + returns)
    at = np.arange(days, len(price) - 1)
    X = np.stack([price[at - day] / price[at] - 1 for day in range(1, days + 1)], axis=1)
    return X, price[at + 1] / price[at] - 1


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_saved_baseline_predicts_as_it_did_in_memory(name: str, tmp_path: Path) -> None:
    X, y = make_returns(rows=300)
    model = fit_default(name, X, y)
    write_model(model, make_card(model, algorithm=name), tmp_path)
    np.testing.assert_allclose(warm_up(load_scorer(tmp_path)).predict(X), model.predict(X), rtol=1e-6, atol=1e-9)
    assert holds_no_pickle(tmp_path)


def test_zero_is_zero() -> None:
    X, y = make_returns(rows=300)
    assert np.abs(fit_default("zero", X, y).predict(X)).max() == 0
    assert set(fit_default("zero", X, y).importance(("a", "b", "c", "d", "e")).values()) == {0.0}


def test_momentum_is_a_share_of_the_past_return() -> None:
    X, y = make_returns(rows=300)
    params = {"lookback_hours": "168", "share": -0.2}
    model = ALGORITHMS["momentum"].fit(X, y, params=params, seed=0)
    np.testing.assert_allclose(model.predict(X), 0.2 * X[:, 2], atol=1e-9)
    options = ALGORITHMS["momentum"].space["lookback_hours"].options
    assert features_of("momentum") == tuple(f"close_lag_{hours}h" for hours in options)


def test_tuning_finds_the_sign_of_momentum() -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(0, 0.03, (1_500, 5))
    rows = make_training_rows(X, 0.25 * X[:, 0] + draw.normal(0, 0.01, 1_500), features=features_of("momentum"))
    best = tune(ALGORITHMS["momentum"], rows, [(np.arange(900), np.arange(930, 1_500))], trials=40, seed=0).best_params
    assert best["lookback_hours"] == "24"
    assert best["share"] < -0.1


def test_the_autoregression_is_that_of_the_library() -> None:
    draw = np.random.default_rng(1)
    returns = np.zeros(900)
    for day in range(3, 900):
        returns[day] = 0.4 * returns[day - 1] - 0.3 * returns[day - 3] + draw.normal(0, 1e-4)
    X, y = daily_lags(returns, 14)
    found = ALGORITHMS["ar"].fit(X, y, params={"order": 3}, seed=0).predict(X)
    library = AutoReg(returns, lags=3).fit().fittedvalues
    np.testing.assert_allclose(found, library[-len(found) :], atol=2e-6)
    assert np.corrcoef(found, y)[0, 1] > 0.4


def test_a_baseline_reigns_only_when_it_passes() -> None:
    records = {"rows": 100, "mse_zero": 1.0, "ic": 0.1, "net": 1.0, "version": "1"}
    momentum = Candidate(algorithm="momentum", mse=0.8, **records)
    ridge = Candidate(algorithm="ridge", mse=0.99, **records)
    assert best_candidate([momentum, ridge]) == ridge
    assert best_candidate([momentum, ridge], {"momentum"}) == momentum
    assert best_candidate([momentum, ridge], {"momentum", "ridge"}) == ridge
    assert not BASELINES & set(DEFAULT_ALGORITHMS)
    assert default_params("zero") == {}

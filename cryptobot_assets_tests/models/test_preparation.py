"""What is done to rows and labels before a fit: learned from training rows alone, repeated by serving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryptobot_assets.contracts.models import make_card, make_returns, make_training_rows
from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.relative import RELATIVE_FEATURES
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import defaults
from cryptobot_assets.models.boosting import LAST_SHARE, BoostingRows
from cryptobot_assets.models.card import ModelCard, warmup, write_model
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared, search_space
from cryptobot_assets.models.tuning import tune

LAGS = tuple(f"close_lag_{1 + 24 * n}h" for n in range(8))
EVERY_CHOICE = {"target_clip": 0.02, "weighting": "uniqueness", "target_scaling": "volatility"}
TREES = ("xgboost", "catboost")


def lag_rows(rows: int = 900, *, seed: int = 0) -> TrainingRows:
    """Rows whose price swings, calmly and then wildly, and whose next return follows the last one."""
    draw = np.random.default_rng(seed)
    swing = np.where(np.arange(rows + 200) < rows // 2 + 200, 0.004, 0.02)
    price = np.exp(np.cumsum(draw.normal(0, swing)))
    at = np.arange(200, rows + 200)
    X = np.stack([price[at - int(name[10:-1])] / price[at] - 1 for name in LAGS], axis=1)
    y = -0.6 * X[:, 1] + draw.normal(0, 2 * swing[at])
    return make_training_rows(X, y, features=LAGS)


def params_of(algorithm: str, **changes: object) -> dict[str, object]:
    """The defaults of an algorithm and of preparation, changed."""
    return defaults(search_space(ALGORITHMS[algorithm], LAGS)) | changes


def card_of_ridge() -> ModelCard:
    """A card of some other model."""
    X, y = make_returns(rows=50)
    return make_card(ALGORITHMS["ridge"].fit(X, y, params={"penalty": 0.3}, seed=0))


def test_the_defaults_do_nothing() -> None:
    rows = lag_rows()
    plain = ALGORITHMS["ridge"].fit(rows.X, rows.target, params={"penalty": 0.3}, seed=0)
    np.testing.assert_array_equal(
        fit_prepared(ALGORITHMS["ridge"], rows, params=params_of("ridge"), seed=0).predict(rows.X),
        plain.predict(rows.X),
    )


def test_ranks_are_searched_without_scaling() -> None:
    assert "target_scaling" in search_space(ALGORITHMS["ridge"], DEFAULT_FEATURES)
    assert "target_scaling" not in search_space(ALGORITHMS["relativeridge"], RELATIVE_FEATURES)


def test_labels_are_cut_at_the_training_rows_own_quantiles() -> None:
    rows = lag_rows()
    crashed = TrainingRows(rows.X, rows.target.copy(), rows.time, rows.currency, rows.features)
    crashed.target[5] = -0.95
    low, high = np.quantile(crashed.target, [0.01, 0.99])
    by_hand = ALGORITHMS["ridge"].fit(rows.X, np.clip(crashed.target, low, high), params={"penalty": 0.3}, seed=0)
    found = fit_prepared(ALGORITHMS["ridge"], crashed, params=params_of("ridge", target_clip=0.01), seed=0)
    np.testing.assert_array_equal(found.predict(rows.X), by_hand.predict(rows.X))


def test_no_label_changes_its_sign() -> None:
    """A short stretch may have no gain at all: its loss quantile is no floor for a gain, nor the other way round."""
    rows = lag_rows(300)
    falling = replace(rows, target=-np.abs(rows.target))
    found = fit_prepared(ALGORITHMS["ridge"], falling, params=params_of("ridge", target_clip=0.05), seed=0)
    low = np.quantile(falling.target, 0.05)
    by_hand = ALGORITHMS["ridge"].fit(rows.X, np.clip(falling.target, low, 0), params={"penalty": 0.3}, seed=0)
    np.testing.assert_array_equal(found.predict(rows.X), by_hand.predict(rows.X))


def test_scaled_labels_are_learned_in_units_of_volatility_and_scaled_back() -> None:
    rows = lag_rows()
    scale = rows.volatility_scale.of(rows.X, LAGS)
    assert scale[-1] > 3 * scale[0]
    by_hand = ALGORITHMS["ridge"].fit(rows.X, rows.target / scale, params={"penalty": 0.3}, seed=0)
    found = fit_prepared(ALGORITHMS["ridge"], rows, params=params_of("ridge", target_scaling="volatility"), seed=0)
    np.testing.assert_allclose(found.predict(rows.X), by_hand.predict(rows.X) * scale, rtol=1e-12)


def test_overlapping_labels_weigh_less() -> None:
    rows = lag_rows()
    sparse = rows.take(np.concatenate([np.arange(0, 480, 24), np.arange(480, 900)]))
    weight = sparse.uniqueness
    assert weight.mean() == pytest.approx(1)
    assert weight[:19].min() > 10 * np.median(weight[100:])
    by_hand = ALGORITHMS["ridge"].fit(sparse.X, sparse.target, params={"penalty": 0.3}, seed=0, weight=weight)
    found = fit_prepared(ALGORITHMS["ridge"], sparse, params=params_of("ridge", weighting="uniqueness"), seed=0)
    np.testing.assert_array_equal(found.predict(rows.X), by_hand.predict(rows.X))


@pytest.mark.parametrize("name", ["ridge", "huber", "lassolars", *TREES])
def test_nothing_fitted_knows_the_rows_that_are_tested_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuning with every choice made: the first fold's figure stands when all later rows change."""
    rows = lag_rows()
    later = np.arange(len(rows)) >= 700
    changed = rows.take(np.arange(len(rows)))
    changed.X[later] *= 3
    changed.target[later] += 0.5
    folds = [(np.arange(0, 476), np.arange(500, 700)), (np.arange(0, 676), np.arange(700, 900))]
    made = params_of(name, **EVERY_CHOICE, **({"stopping": "early"} if name in TREES else {}))
    monkeypatch.setattr("cryptobot_assets.models.tuning.defaults", lambda space: made)
    first, second = (tune(ALGORITHMS[name], one, folds, trials=1, seed=0).trials[0] for one in (rows, changed))
    assert first.params == second.params == made
    assert first.fold_values[0] == second.fold_values[0]
    assert first.fold_values[1] != second.fold_values[1]


def test_the_scaler_of_a_fold_is_fitted_on_the_fold() -> None:
    rows = lag_rows()
    train = rows.take(np.arange(476))
    scaler = fit_prepared(ALGORITHMS["ridge"], train, params=params_of("ridge"), seed=0).pipeline["scaler"]
    np.testing.assert_allclose(scaler.mean_, rows.X[:476].mean(axis=0))
    np.testing.assert_allclose(scaler.scale_, rows.X[:476].std(axis=0))


@pytest.mark.parametrize("name", TREES)
def test_boosting_stops_where_the_last_training_rows_gain_no_more(name: str) -> None:
    X, y = make_returns(rows=2_000)
    noise = make_training_rows(X, np.random.default_rng(5).normal(0, 0.03, len(y)))
    early = params_of(name, stopping="early", trees=150, learning_rate=0.1)
    stopped = fit_prepared(ALGORITHMS[name], noise, params=early, seed=0)
    trees = {"xgboost": lambda: stopped.booster.num_boosted_rounds(), "catboost": lambda: stopped.regressor.tree_count_}
    assert trees[name]() < 75
    as_many = params_of(name, trees=trees[name](), learning_rate=0.1)
    by_number = fit_prepared(ALGORITHMS[name], noise, params=as_many, seed=0)
    np.testing.assert_array_equal(stopped.predict(X), by_number.predict(X))


def test_the_rows_that_stop_it_share_no_label_with_those_before() -> None:
    rows = make_training_rows(*make_returns(rows=1_000))
    train, last = BoostingRows(rows.X, np.arange(1_000.0), None).apart(rows.time)
    assert len(last.y) == 1_000 * LAST_SHARE
    assert train.y.max() == last.y.min() - 24
    with pytest.raises(ValueError, match="times of the rows are needed"):
        BoostingRows(rows.X, rows.target, None).apart(None)


@pytest.mark.parametrize("name", ["ridge", *TREES])
def test_serving_repeats_the_scaling_from_the_card(name: str, tmp_path: Path) -> None:
    rows = lag_rows()
    model = fit_prepared(ALGORITHMS[name], rows, params=params_of(name, **EVERY_CHOICE), seed=0)
    write_model(model, replace(card_of_ridge(), features=LAGS, **warmup(model, rows.X[:4])), tmp_path)
    scorer = warm_up(load_scorer(tmp_path))
    assert scorer.card.output.volatility == rows.volatility_scale
    np.testing.assert_allclose(scorer.predict(rows.X), model.predict(rows.X), rtol=1e-6, atol=1e-9)

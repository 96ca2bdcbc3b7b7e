"""What every algorithm must do, whatever library is behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cryptobot_assets.domain.promotion import BASELINES
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import FittedModel, Value
from cryptobot_assets.models.card import ModelCard, warmup, write_model
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.models.preparation import TrainingRows

FEATURES = ("planted", "noise_a", "noise_b", "near_planted", "constant")
LEARNERS = tuple(name for name in ALGORITHMS if name not in {*BASELINES, "xgboostrank", "ensemble"})
"""Algorithms that learn the return of a row from the row alone, by themselves."""

PICKLE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".cloudpickle"}


def make_returns(*, rows: int = 1_500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows and 24 h returns with a planted linear effect, of the size and noise of daily returns."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, len(FEATURES))) * [0.02, 1.0, 300.0, 0.02, 0.0]
    X[:, 3] = X[:, 0] + 0.2 * X[:, 3]
    X[:, 4] = 1.5
    return X, 0.5 * X[:, 0] + 0.03 * rng.standard_t(4, size=rows) + 0.001


def make_hours(rows: int) -> np.ndarray:
    """Times of so many hourly rows of one currency."""
    return np.datetime64("2023-01-01", "us") + np.arange(rows) * np.timedelta64(1, "h")


def make_training_rows(X: np.ndarray, y: np.ndarray, *, features: tuple[str, ...] = FEATURES) -> TrainingRows:
    """Hourly rows of one currency."""
    return TrainingRows(X, y, make_hours(len(y)), np.full(len(y), "BTCUSDT", dtype=object), features)


def make_card(model: FittedModel, *, algorithm: str = "ridge", market: str = "ALL", day: int = 1) -> ModelCard:
    """A card of `model` with three warm-up rows."""
    return ModelCard(
        algorithm=algorithm,
        market=market,
        cutoff=datetime(2024, 1, day, tzinfo=UTC),
        interval="1h",
        features=FEATURES,
        horizon_hours=24,
        prediction="close 24 h later / close - 1",
        residual_quantiles={"0.05": -0.05, "0.95": 0.05},
        **warmup(model, make_returns(rows=3, seed=9)[0]),
    )


def default_params(algorithm: str) -> dict[str, Value]:
    """Where the search of an algorithm starts."""
    return {name: span.default for name, span in ALGORITHMS[algorithm].space.items()}


def fit_default(algorithm: str, X: np.ndarray, y: np.ndarray, **options: Any) -> FittedModel:
    """The algorithm fitted with its default parameters on hourly rows."""
    asked: dict[str, Any] = {"seed": 3, "time": make_hours(len(y)), **options}
    return ALGORITHMS[algorithm].fit(X, y, params=default_params(algorithm), **asked)


def holds_no_pickle(folder: Path) -> bool:
    """No file under `folder` is a pickle, by its name or by its first bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return bool(files) and not any(
        path.suffix in PICKLE_SUFFIXES or path.read_bytes()[:2] in {b"\x80\x04", b"\x80\x05"} for path in files
    )


class ModelContract:
    """One test each; `algorithm` comes as a fixture from the suite that inherits."""

    def test_a_saved_model_predicts_as_it_did_in_memory(self, algorithm: str, tmp_path: Path) -> None:
        X, y = make_returns()
        model = fit_default(algorithm, X, y)
        write_model(model, make_card(model, algorithm=algorithm), tmp_path / "model")
        scorer = warm_up(load_scorer(tmp_path / "model"))
        assert scorer.features == FEATURES
        np.testing.assert_allclose(scorer.predict(X), model.predict(X), rtol=1e-6, atol=1e-9)
        assert scorer.predict(X).dtype == np.float64
        assert scorer.predict(X[:0]).shape == (0,)
        assert np.std(scorer.predict(X)) > 1e-4
        assert holds_no_pickle(tmp_path / "model")

    def test_the_same_seed_gives_the_same_model(self, algorithm: str) -> None:
        X, y = make_returns()
        first, second = (fit_default(algorithm, X, y, seed=11).predict(X) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_it_finds_a_planted_effect(self, algorithm: str) -> None:
        X, y = make_returns(rows=4_000)
        X_new, y_new = make_returns(rows=4_000, seed=1)
        predictions = fit_default(algorithm, X, y).predict(X_new)
        assert np.mean((predictions - y_new) ** 2) < 0.97 * np.mean(y_new**2)
        assert np.corrcoef(predictions, X_new[:, 0])[0, 1] > 0.8

    def test_importance_names_every_feature(self, algorithm: str) -> None:
        X, y = make_returns()
        importance = fit_default(algorithm, X, y).importance(FEATURES)
        assert tuple(importance) == FEATURES
        assert importance["constant"] == 0
        assert np.isclose(sum(importance.values()), 1)
        assert importance["planted"] + importance["near_planted"] > 0.5

    def test_a_constant_label_is_predicted_as_itself(self, algorithm: str) -> None:
        X, _ = make_returns(rows=300)
        predictions = fit_default(algorithm, X, np.full(300, 0.01)).predict(X)
        np.testing.assert_allclose(predictions, 0.01, atol=1e-6)

    def test_features_may_come_in_any_unit(self, algorithm: str) -> None:
        X, y = make_returns()
        scaled = X * [1e4, 1e-4, 1.0, 1.0, 1.0]
        np.testing.assert_allclose(
            fit_default(algorithm, X, y).predict(X),
            fit_default(algorithm, scaled, y).predict(scaled),
            atol=1e-3,
        )

    def test_rows_of_no_weight_teach_nothing(self, algorithm: str) -> None:
        X, y = make_returns()
        weight = (np.arange(len(y)) < 1_000).astype(float)
        poisoned = np.where(weight > 0, y, 5.0)
        predictions = fit_default(algorithm, X, poisoned, weight=weight).predict(X)
        assert np.abs(predictions).max() < 0.5

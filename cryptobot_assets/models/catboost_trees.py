"""CatBoost, kept small for noisy returns, saved as `.cbm`: the one home of catboost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catboost
import numpy as np

from cryptobot_assets.models.base import ModelFile, Params, Range, Space, shares
from cryptobot_assets.models.boosting import PATIENCE, STOPPING, BoostingRows
from cryptobot_assets.models.output import AS_IT_IS, Output

CBM_FILE = "model.cbm"


SPACE: Space = {
    "trees": Range(30, 180, default=80),
    "depth": Range(2, 5, default=4),
    "learning_rate": Range(0.005, 0.1, default=0.03, log=True),
    "row_share": Range(0.4, 0.9, default=0.7),
    "l2_share": Range(1e-4, 0.3, default=5e-3, log=True),
    "random_strength": Range(0.1, 10.0, default=1.0, log=True),
    "stopping": STOPPING,
}


@dataclass(frozen=True)
class FittedCatBoost:
    """A regressor, in memory."""

    regressor: catboost.CatBoostRegressor
    output: Output = AS_IT_IS

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predicted returns (rows,)."""
        return np.asarray(self.regressor.predict(X, thread_count=1), dtype=np.float64)

    def importance(self, features: Sequence[str]) -> dict[str, float]:
        """Shares of the change in predictions when a feature changes."""
        return shares(np.asarray(self.regressor.get_feature_importance(thread_count=1)), features)

    def save(self, folder: Path) -> ModelFile:
        """Write `model.cbm`."""
        self.regressor.save_model(str(folder / CBM_FILE), format="cbm")
        return ModelFile("catboost", CBM_FILE)


@dataclass(frozen=True)
class CatBoost:
    """Boosted symmetric trees; `l2_share` is the leaf penalty as a share of the training rows."""

    name = "catboost"
    space = SPACE

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        params: Params,
        seed: int,
        weight: np.ndarray | None = None,
        threads: int = 1,
        time: np.ndarray | None = None,
    ) -> FittedCatBoost:
        """Boost from the mean label; with early stopping as many trees as were best on the last rows."""
        rows = BoostingRows(X, y, weight)
        trees = int(params["trees"])
        if params["stopping"] == "early":
            train, last = rows.apart(time)
            watched = catboost.Pool(last.X, last.y, weight=last.weight)
            boosted = _boost(train, params, seed, threads, trees, eval_set=watched, early_stopping_rounds=PATIENCE)
            trees = boosted.get_best_iteration() + 1
        return FittedCatBoost(_boost(rows, params, seed, threads, trees))


def _boost(
    rows: BoostingRows, params: Params, seed: int, threads: int, trees: int, **watching: Any
) -> catboost.CatBoostRegressor:
    regressor = catboost.CatBoostRegressor(
        iterations=trees,
        depth=int(params["depth"]),
        learning_rate=params["learning_rate"],
        bootstrap_type="Bernoulli",
        subsample=params["row_share"],
        l2_leaf_reg=params["l2_share"] * len(rows.y),
        random_strength=params["random_strength"],
        border_count=64,
        boosting_type="Plain",
        thread_count=threads,
        random_seed=seed,
        allow_const_label=True,
        allow_writing_files=False,
        verbose=False,
    )
    return regressor.fit(rows.X, rows.y, sample_weight=rows.weight, **watching)


def read_predictor(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Predictions float64 (rows,) of float64 (rows, features), on one thread."""
    regressor = catboost.CatBoostRegressor()
    regressor.load_model(str(path), format="cbm")

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.asarray(regressor.predict(rows, thread_count=1), dtype=np.float64)

    return predict


CATBOOST = CatBoost()

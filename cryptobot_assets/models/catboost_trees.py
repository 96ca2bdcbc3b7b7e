"""CatBoost, kept small for noisy returns, saved as `.cbm`: the one home of catboost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import catboost
import numpy as np

from cryptobot_assets.models.base import ModelFile, Params, Range, SearchTrial, Space, shares

CBM_FILE = "model.cbm"


SPACE: Space = {
    "trees": Range(30, 180, default=80),
    "depth": Range(2, 5, default=4),
    "learning_rate": Range(0.005, 0.1, default=0.03, log=True),
    "row_share": Range(0.4, 0.9, default=0.7),
    "l2_share": Range(1e-4, 0.3, default=5e-3, log=True),
    "random_strength": Range(0.1, 10.0, default=1.0, log=True),
}


@dataclass(frozen=True)
class FittedCatBoost:
    """A regressor, in memory."""

    regressor: catboost.CatBoostRegressor

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

    def suggest(self, trial: SearchTrial) -> dict[str, float | int]:
        """Parameters drawn from the search space."""
        return {name: span.draw(trial, name) for name, span in self.space.items()}

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        params: Params,
        seed: int,
        weight: np.ndarray | None = None,
        threads: int = 1,
    ) -> FittedCatBoost:
        """Boost from the mean label."""
        regressor = catboost.CatBoostRegressor(
            iterations=int(params["trees"]),
            depth=int(params["depth"]),
            learning_rate=params["learning_rate"],
            bootstrap_type="Bernoulli",
            subsample=params["row_share"],
            l2_leaf_reg=params["l2_share"] * len(y),
            random_strength=params["random_strength"],
            border_count=64,
            boosting_type="Plain",
            thread_count=threads,
            random_seed=seed,
            allow_const_label=True,
            allow_writing_files=False,
            verbose=False,
        )
        return FittedCatBoost(regressor.fit(X, y, sample_weight=weight))


def read_predictor(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Predictions float64 (rows,) of float64 (rows, features), on one thread."""
    regressor = catboost.CatBoostRegressor()
    regressor.load_model(str(path), format="cbm")

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.asarray(regressor.predict(rows, thread_count=1), dtype=np.float64)

    return predict


CATBOOST = CatBoost()

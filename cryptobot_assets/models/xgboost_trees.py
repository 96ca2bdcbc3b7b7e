"""XGBoost, kept small for noisy returns, saved as `.ubj`: the one home of xgboost.

The floors under a leaf (`leaf_share`, `l2_share`) are shares of the training rows: a leaf that
holds a few hundred overlapping labels knows next to nothing, and a share carries over from a
fold to the final fit on more rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryptobot_assets.models.base import ModelFile, Params, Range, SearchTrial, Space, shares

# Threads that spin while they wait make a busy machine ten times slower; read as xgboost is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import xgboost

UBJ_FILE = "model.ubj"
BINS = 64
ROWS_WORTH_TWO_THREADS = 20_000


SPACE: Space = {
    "trees": Range(30, 180, default=80),
    "depth": Range(2, 5, default=3),
    "learning_rate": Range(0.005, 0.1, default=0.03, log=True),
    "row_share": Range(0.4, 0.9, default=0.7),
    "feature_share": Range(0.3, 1.0, default=0.6),
    "leaf_share": Range(1e-3, 0.05, default=5e-3, log=True),
    "l2_share": Range(1e-4, 0.3, default=5e-3, log=True),
}


@dataclass(frozen=True)
class FittedXGBoost:
    """A booster, in memory."""

    booster: xgboost.Booster

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predicted returns (rows,)."""
        return _predict(self.booster, X)

    def importance(self, features: Sequence[str]) -> dict[str, float]:
        """Shares of the error taken away by splits on each feature."""
        gains = self.booster.get_score(importance_type="total_gain")
        return shares(np.array([gains.get(f"f{index}", 0.0) for index in range(len(features))]), features)

    def save(self, folder: Path) -> ModelFile:
        """Write `model.ubj`."""
        self.booster.save_model(folder / UBJ_FILE)
        return ModelFile("xgboost", UBJ_FILE)


@dataclass(frozen=True)
class XGBoost:
    """Boosted trees by histogram."""

    name = "xgboost"
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
    ) -> FittedXGBoost:
        """Boost from the mean label."""
        threads = 2 if len(y) >= ROWS_WORTH_TWO_THREADS else 1
        mass = float(len(y) if weight is None else weight.sum())
        options = {
            "objective": "reg:squarederror",
            "base_score": float(np.average(y, weights=weight)),
            "tree_method": "hist",
            "max_bin": BINS,
            "max_depth": params["depth"],
            "learning_rate": params["learning_rate"],
            "subsample": params["row_share"],
            "colsample_bytree": params["feature_share"],
            "min_child_weight": params["leaf_share"] * mass,
            "reg_lambda": params["l2_share"] * mass,
            "nthread": threads,
            "seed": seed,
        }
        rows = xgboost.QuantileDMatrix(X, label=y, weight=weight, max_bin=BINS, nthread=threads)
        return FittedXGBoost(xgboost.train(options, rows, num_boost_round=int(params["trees"])))


def read_predictor(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Predictions float64 (rows,) of float64 (rows, features), on one thread."""
    booster = xgboost.Booster(params={"nthread": 1}, model_file=path)

    def predict(rows: np.ndarray) -> np.ndarray:
        return _predict(booster, rows)

    return predict


def _predict(booster: xgboost.Booster, rows: np.ndarray) -> np.ndarray:
    return np.asarray(booster.inplace_predict(rows, validate_features=False), dtype=np.float64)


XGBOOST = XGBoost()

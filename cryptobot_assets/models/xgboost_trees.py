"""XGBoost, kept small for noisy returns, saved as `.ubj`: the one home of xgboost.

The floors under a leaf (`leaf_share`, `l2_share`) are shares of the training rows: a leaf that
holds a few hundred overlapping labels knows next to nothing, and a share carries over from a
fold to the final fit on more rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryptobot_assets.models.base import ModelFile, Params, Range, Space, shares
from cryptobot_assets.models.boosting import PATIENCE, STOPPING, BoostingRows
from cryptobot_assets.models.output import AS_IT_IS, Output

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
    "stopping": STOPPING,
}


@dataclass(frozen=True)
class FittedXGBoost:
    """A booster, in memory."""

    booster: xgboost.Booster
    output: Output = AS_IT_IS

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predicted returns (rows,)."""
        return self.output.apply(raw_scores(self.booster, X), X, ())

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
    ) -> FittedXGBoost:
        """Boost from the mean label; with early stopping as many trees as were best on the last rows."""
        rows = BoostingRows(X, y, weight)
        trees = int(params["trees"])
        if params["stopping"] == "early":
            trees = self._best_trees(*rows.apart(time), params, seed)
        return FittedXGBoost(boost(rows, params, seed, trees))

    def _best_trees(self, train: BoostingRows, last: BoostingRows, params: Params, seed: int) -> int:
        watched = [(_matrix(last, threads_for(last)), "last")]
        watching = {"evals": watched, "early_stopping_rounds": PATIENCE}
        booster = boost(train, params, seed, int(params["trees"]), watching=watching)
        return int(booster.best_iteration) + 1


def threads_for(rows: BoostingRows) -> int:
    """Threads that so many rows are worth."""
    return 2 if len(rows.y) >= ROWS_WORTH_TWO_THREADS else 1


def _matrix(rows: BoostingRows, threads: int) -> xgboost.DMatrix:
    return xgboost.DMatrix(rows.X, label=rows.y, weight=rows.weight, nthread=threads)


def boost(
    rows: BoostingRows,
    params: Params,
    seed: int,
    trees: int,
    *,
    curvature: float = 1.0,
    groups: np.ndarray | None = None,
    watching: Mapping[str, Any] | None = None,
    **objective: Any,
) -> xgboost.Booster:
    """So many trees.

    Args:
        curvature: what a row adds to the weight of a leaf, in the loss: 1 for squared errors.
        groups: (rows,) rising numbers of the groups that ranks are learned in.
        watching: options of early stopping.
        objective: options of another loss than squared errors.
    """
    threads = threads_for(rows)
    mass = rows.mass * curvature
    options = {
        "objective": "reg:squarederror",
        "base_score": float(np.average(rows.y, weights=rows.weight)),
        "tree_method": "hist",
        "max_bin": BINS,
        "max_depth": params["depth"],
        "learning_rate": params["learning_rate"],
        "subsample": params["row_share"],
        "colsample_bytree": params["feature_share"],
        "min_child_weight": float(params["leaf_share"]) * mass,
        "reg_lambda": float(params["l2_share"]) * mass,
        "nthread": threads,
        "seed": seed,
        **objective,
    }
    matrix = xgboost.QuantileDMatrix(
        rows.X, label=rows.y, weight=rows.weight, qid=groups, max_bin=BINS, nthread=threads
    )
    return xgboost.train(options, matrix, num_boost_round=trees, verbose_eval=False, **(watching or {}))


def read_predictor(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Predictions float64 (rows,) of float64 (rows, features), on one thread."""
    booster = xgboost.Booster(params={"nthread": 1}, model_file=path)

    def predict(rows: np.ndarray) -> np.ndarray:
        return raw_scores(booster, rows)

    return predict


def raw_scores(booster: xgboost.Booster, rows: np.ndarray) -> np.ndarray:
    """What a booster gives for each row: a return, a probability or a score (rows,)."""
    return np.asarray(booster.inplace_predict(rows, validate_features=False), dtype=np.float64)


XGBOOST = XGBoost()

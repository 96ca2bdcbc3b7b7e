"""Boosted trees that learn something else than the return, and what it is worth in returns.

    xgboostdirection   probability of a gain --> expected return by the mean gain and the mean loss
    xgboostrank        score among the currencies of an hour --> return, by a line that only rises

What a score is worth is learned from training rows: of the direction from all of them, of the rank
from the last part, scored by trees that were grown on the part before it, because a tree's own
rows flatter it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from cryptobot_assets.models.base import Params, Space
from cryptobot_assets.models.boosting import BoostingRows, last_rows, require_times
from cryptobot_assets.models.calibration import rising_knots
from cryptobot_assets.models.output import Output
from cryptobot_assets.models.xgboost_trees import SPACE, FittedXGBoost, boost, raw_scores

OWN_SPACE: Space = {name: span for name, span in SPACE.items() if name != "stopping"}
HALF_SURE = 0.25
"""Curvature of the log loss at even odds, where the squared error has 1: floors under a leaf shrink with it."""


@dataclass(frozen=True)
class XGBoostDirection:
    """Whether the return is above zero, by log loss."""

    name = "xgboostdirection"
    space = OWN_SPACE

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
        """Boost from the share of gains."""
        gained = y > 0
        mass = np.ones(len(y)) if weight is None else weight
        share = float(np.average(gained, weights=mass))
        booster = boost(
            BoostingRows(X, gained.astype(float), weight),
            params,
            seed,
            int(params["trees"]),
            objective="binary:logistic",
            base_score=min(max(share, 0.01), 0.99),
            curvature=HALF_SURE,
        )
        loss, gain = (_mean(y, mass * side, y, mass) for side in (~gained, gained))
        return FittedXGBoost(booster, Output(knots=((0.0, loss), (1.0, gain))))


def _mean(y: np.ndarray, weight: np.ndarray, otherwise: np.ndarray, its_weight: np.ndarray) -> float:
    """Weighted mean of one side; of all where there is nothing on it."""
    return float(np.average(y, weights=weight) if weight.any() else np.average(otherwise, weights=its_weight))


@dataclass(frozen=True)
class XGBoostRank:
    """Which of two currencies of the same hour gains more, by pairs (RankNet's loss; Burges, 2010)."""

    name = "xgboostrank"
    space = OWN_SPACE

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
        """Boost on the pairs of each hour; a row's weight has no meaning among pairs of one hour and is not used.

        Raises:
            ValueError: the rows came without their times.
            NotEnoughHistory: there is nothing before the last part to learn the scores' worth from.
        """
        times = require_times(time)
        before, last = last_rows(times)
        grown = _grow(X[before], y[before], times[before], params, seed)
        unit = _spread(raw_scores(grown, X[before]))
        knots = rising_knots(raw_scores(grown, X[last]) / unit, y[last])
        final = _grow(X, y, times, params, seed)
        unit = _spread(raw_scores(final, X))
        return FittedXGBoost(final, Output(knots=tuple((score * unit, value) for score, value in knots)))


def _spread(scores: np.ndarray) -> float:
    return float(np.std(scores)) or 1.0


def _grow(X: np.ndarray, y: np.ndarray, time: np.ndarray, params: Params, seed: int) -> xgboost.Booster:
    """Trees on every pair of the same time, of each row's place among them."""
    order = np.argsort(time, kind="stable")
    hours = np.unique(time[order], return_inverse=True)[1]
    ranked = np.lexsort((y[order], hours))
    place = np.empty(len(order))
    place[ranked] = np.arange(len(order)) - np.searchsorted(hours, hours[ranked])
    rows = BoostingRows(X[order], place, None)
    options: dict[str, Any] = {
        "objective": "rank:pairwise",
        "base_score": 0.0,
        "lambdarank_pair_method": "topk",
        "lambdarank_num_pair_per_sample": int(np.bincount(hours).max()),
    }
    return boost(rows, params, seed, int(params["trees"]), groups=hours, **options)


XGBOOSTDIRECTION = XGBoostDirection()
XGBOOSTRANK = XGBoostRank()

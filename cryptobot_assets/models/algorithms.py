"""The eight algorithms by name; their libraries are imported on first use, not here."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cryptobot_assets.errors import UsageError
from cryptobot_assets.models.base import Algorithm, FittedModel, Params, SearchTrial, Space


@dataclass(frozen=True)
class LazyAlgorithm:
    """An algorithm that stays on disk until it is asked something: importing XGBoost costs a second."""

    name: str
    home: str

    def load(self) -> Algorithm:
        """The algorithm itself, its library imported."""
        home = importlib.import_module(f"cryptobot_assets.models.{self.home}")
        return home.LINEAR[self.name] if self.home == "linear" else getattr(home, self.name.upper())

    @property
    def space(self) -> Space:
        """Searched parameters by name."""
        return self.load().space

    def suggest(self, trial: SearchTrial) -> dict[str, float | int]:
        """Parameters drawn from the search space."""
        return self.load().suggest(trial)

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        params: Params,
        seed: int,
        weight: np.ndarray | None = None,
        threads: int = 1,
    ) -> FittedModel:
        """See `Algorithm.fit`."""
        return self.load().fit(X, y, params=params, seed=seed, weight=weight, threads=threads)


ALGORITHMS: dict[str, Algorithm] = {
    "xgboost": LazyAlgorithm("xgboost", "xgboost_trees"),
    "catboost": LazyAlgorithm("catboost", "catboost_trees"),
    "lassolars": LazyAlgorithm("lassolars", "linear"),
    "lasso": LazyAlgorithm("lasso", "linear"),
    "ridge": LazyAlgorithm("ridge", "linear"),
    "bayesianridge": LazyAlgorithm("bayesianridge", "linear"),
    "elasticnet": LazyAlgorithm("elasticnet", "linear"),
    "huber": LazyAlgorithm("huber", "linear"),
}


def require_algorithms(names: Iterable[str]) -> tuple[str, ...]:
    """`names` in order without repeats, all eight when there are none; raises `UsageError`.

    >>> require_algorithms(["ridge", "huber", "ridge"])
    ('ridge', 'huber')
    """
    chosen = tuple(dict.fromkeys(names)) or tuple(ALGORITHMS)
    unknown = [name for name in chosen if name not in ALGORITHMS]
    if unknown:
        raise UsageError(f"no such algorithm: {', '.join(unknown)}; choose from {', '.join(ALGORITHMS)}")
    return chosen

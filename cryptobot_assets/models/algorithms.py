"""The algorithms by name, and what each reads; their libraries are imported on first use, not here.

Eight read the default features of one currency's own past. `relativeridge` ranks the currencies of
an hour against each other and predicts what each gains on their mean; of the market itself it
predicts nothing, so that its figure stands for the return too.

The others are trained when they are asked for by name: `zero`, `momentum` and `ar` are baselines,
`xgboostdirection` learns whether a return is positive, `xgboostrank` which currency of an hour
gains more than which other, `neural` is a small neural network, and `ensemble` the mean of the
eight, as far as they were trained before it. So are the algorithms that other packages bring.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature

import numpy as np

from cryptobot_assets.domain.features import DEFAULT_FEATURES, require_features
from cryptobot_assets.domain.promotion import BASELINES
from cryptobot_assets.domain.relative import FEWEST_CURRENCIES, RELATIVE_FEATURES
from cryptobot_assets.errors import UsageError
from cryptobot_assets.models.base import Algorithm, Choice, FittedModel, Params, Range, Space
from cryptobot_assets.models.ensemble import Ensemble, members_of
from cryptobot_assets.plugged import FEATURES
from cryptobot_assets.plugins import Catalogue


@dataclass(frozen=True)
class LazyAlgorithm:
    """An algorithm that stays on disk until it is asked something: importing XGBoost costs a second."""

    name: str
    home: str

    def load(self) -> Algorithm:
        """The algorithm itself, its library imported."""
        home = importlib.import_module(f"cryptobot_assets.models.{self.home}")
        found: Algorithm = home.LINEAR[self.name] if self.home == "linear" else getattr(home, self.name.upper())
        return found

    @property
    def space(self) -> Space:
        """Searched parameters by name."""
        return self.load().space

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
    ) -> FittedModel:
        """See `Algorithm.fit`."""
        return self.load().fit(X, y, params=params, seed=seed, weight=weight, threads=threads, time=time)


MEMBERS = ("xgboost", "catboost", "lassolars", "lasso", "ridge", "bayesianridge", "elasticnet", "huber")
"""Algorithms that the ensemble is the mean of: all that read the default features and learn the return itself."""

_ALONE: dict[str, Algorithm] = {
    name: LazyAlgorithm(name, home)
    for name, home in {
        "xgboost": "xgboost_trees",
        "catboost": "catboost_trees",
        "lassolars": "linear",
        "lasso": "linear",
        "ridge": "linear",
        "bayesianridge": "linear",
        "elasticnet": "linear",
        "huber": "linear",
        "relativeridge": "linear",
        "zero": "baselines",
        "momentum": "baselines",
        "ar": "linear",
        "xgboostdirection": "xgboost_objectives",
        "xgboostrank": "xgboost_objectives",
        "neural": "neural",
    }.items()
}
_OURS: dict[str, Algorithm] = {**_ALONE, "ensemble": Ensemble({name: _ALONE[name] for name in MEMBERS})}


def _what_is_wrong(name: str, part: object) -> str | None:
    if getattr(part, "name", None) != name:
        return f"it calls itself {getattr(part, 'name', None)!r}"
    space = getattr(part, "space", None)
    if not isinstance(space, Mapping) or not all(isinstance(one, Range | Choice) for one in space.values()):
        return "its `space` is no mapping of names to Range or Choice"
    fit = getattr(part, "fit", None)
    if not callable(fit):
        return "it has no `fit`"
    try:
        signature(fit).bind(None, None, params={}, seed=0, weight=None, threads=1, time=None)
        require_features(getattr(part, "features", DEFAULT_FEATURES), FEATURES)
    except TypeError as error:
        return f"its `fit` does not take what Algorithm.fit takes: {error}"
    except UsageError as error:
        return f"{error}"
    return None


ALGORITHMS: Catalogue[Algorithm] = Catalogue(
    "cryptobot_assets.algorithms",
    "algorithm",
    ours=_OURS,
    check=_what_is_wrong,
    reserved=("features", "champion", "challenger"),
)
"""Every algorithm by name; a name becomes an asset, a registered model and a route."""

ON_REQUEST = BASELINES | {"xgboostdirection", "xgboostrank", "neural", "ensemble"}
"""Algorithms of ours that are trained only when they are named, as all that other packages bring are."""

DEFAULT_ALGORITHMS: tuple[str, ...] = tuple(name for name in _OURS if name not in ON_REQUEST)

RELATIVE = frozenset({"relativeridge", "xgboostrank"})
"""Algorithms that read relative features and learn returns less the market's."""

OWN_FEATURES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(RELATIVE, RELATIVE_FEATURES),
    "momentum": tuple(f"close_lag_{hours}h" for hours in (24, 48, 168, 336, 672)),
    "ar": tuple(f"close_lag_{24 * days}h" for days in range(1, 15)),
}
"""Features of our algorithms that do not read the default ones."""


def library_of(algorithm: str) -> str:
    """What an algorithm fits with: xgboost, catboost or scikitlearn, or the package that brings it."""
    origin = ALGORITHMS.origin(algorithm)
    if not origin.is_ours:
        return origin.package
    return next((name for name in ("xgboost", "catboost") if algorithm.startswith(name)), "scikitlearn")


def features_of(algorithm: str) -> tuple[str, ...]:
    """The features an algorithm reads; those of an algorithm that is not ours are its attribute `features`."""
    if algorithm in _OURS:
        return OWN_FEATURES.get(algorithm, DEFAULT_FEATURES)
    return tuple(getattr(ALGORITHMS[algorithm], "features", DEFAULT_FEATURES))


def trials_of(algorithm: str, trials: int) -> int:
    """How many of the trials asked for an algorithm takes: an ensemble has nothing left to choose."""
    return 1 if members_of(ALGORITHMS[algorithm]) else trials


def usable_algorithms(currencies: int) -> tuple[str, ...]:
    """The algorithms that a market of so many currencies trains when none is named."""
    return tuple(name for name in DEFAULT_ALGORITHMS if is_trainable(name, currencies))


def is_trainable(algorithm: str, currencies: int) -> bool:
    """Whether a market of so many currencies can train an algorithm."""
    return algorithm not in RELATIVE or currencies >= FEWEST_CURRENCIES


def require_trainable(algorithm: str, currencies: Sequence[str]) -> None:
    """Raises `UsageError` when an algorithm cannot be trained on these currencies."""
    if not is_trainable(algorithm, len(currencies)):
        raise UsageError(
            f"{algorithm} ranks currencies against each other: train it on market ALL of at least "
            f"{FEWEST_CURRENCIES} currencies, not on {', '.join(currencies)}"
        )


def require_algorithms(names: Iterable[str]) -> tuple[str, ...]:
    """`names` in order without repeats, the default ones when there are none; raises `UsageError`.

    >>> require_algorithms(["ridge", "huber", "ridge"])
    ('ridge', 'huber')
    """
    chosen = tuple(dict.fromkeys(names)) or DEFAULT_ALGORITHMS
    unknown = [name for name in chosen if name not in ALGORITHMS]
    if unknown:
        raise UsageError(f"no such algorithm: {', '.join(unknown)}; choose from {', '.join(ALGORITHMS)}")
    return chosen

"""The mean of several tuned algorithms, each as it was tuned by itself.

    ridge     predicted return \\
    catboost  predicted return  >-- mean --> predicted return
    ...       predicted return /

All predict the same return, so that their mean is a prediction too, and its squared error is never
above the mean of theirs. The parts are equal: what stacking would learn of members that are much
alike, from a few dozen independent days, is mostly noise, and equal parts have proved hard to beat
(Bates and Granger, 1969; Claeskens et al., 2016). A member that found nothing predicts little and
so says little.

A fit is one of every member. It is saved as a folder a member, in the member's own format, and one
JSON file that names them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cryptobot_assets.errors import RegistryError
from cryptobot_assets.models.base import Algorithm, FittedModel, ModelFile, Params, Space, shares
from cryptobot_assets.models.card import digest
from cryptobot_assets.models.loading import read_model
from cryptobot_assets.models.output import AS_IT_IS, Output

ENSEMBLE_FILE = "ensemble.json"


@dataclass(frozen=True)
class Combination:
    """Fitted members by name, which count alike.

    Attributes:
        features: names of the columns of X, for members whose saved file alone does not give the return.
    """

    models: Mapping[str, FittedModel]
    features: tuple[str, ...] = ()
    output: Output = AS_IT_IS

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predicted returns (rows,)."""
        mean: np.ndarray = np.mean([model.predict(X) for model in self.models.values()], axis=0)
        return mean

    def importance(self, features: Sequence[str]) -> dict[str, float]:
        """Mean of the members' shares."""
        parts = [model.importance(features) for model in self.models.values()]
        return shares(np.array([sum(part[name] for part in parts) for name in features]), features)

    def save(self, folder: Path) -> ModelFile:
        """Write each member into a folder of its own, and `ensemble.json`."""
        members, flavors = [], []
        for name, model in self.models.items():
            (folder / name).mkdir()
            file = model.save(folder / name)
            path = f"{name}/{file.filename}"
            flavors.append(file.flavor)
            members.append(
                {
                    "member": name,
                    "weight": 1 / len(self.models),
                    "flavor": file.flavor,
                    "file": path,
                    "sha256": digest(folder / path),
                    "output": model.output.to_json(),
                }
            )
        facts = {"features": list(self.features), "members": members}
        (folder / ENSEMBLE_FILE).write_text(json.dumps(facts, indent=1, allow_nan=False))
        return ModelFile("ensemble", ENSEMBLE_FILE, parts=tuple(dict.fromkeys(flavors)))


@dataclass(frozen=True)
class Ensemble:
    """Algorithms that are fitted side by side; a parameter of a member is written `ridge.penalty`."""

    members: Mapping[str, Algorithm]

    name = "ensemble"

    @property
    def space(self) -> Space:
        """What the members search, together."""
        return joint({name: member.space for name, member in self.members.items()})

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
    ) -> Combination:
        """See `Algorithm.fit`."""
        return Combination(
            {
                name: one.fit(X, y, params=own(params, name), seed=seed, weight=weight, threads=threads, time=time)
                for name, one in self.members.items()
            }
        )


def members_of(algorithm: Algorithm) -> Mapping[str, Algorithm]:
    """The members of an ensemble; any other algorithm has none."""
    return getattr(algorithm, "members", {})


def narrowed(algorithm: Algorithm, values: Iterable[str]) -> Algorithm:
    """An ensemble of the members that these parameters are of; any other algorithm as it is."""
    members = members_of(algorithm)
    if not members:
        return algorithm
    named = {value.partition(".")[0] for value in values}
    return Ensemble({name: member for name, member in members.items() if name in named})


Part = TypeVar("Part")


def joint(spaces: Mapping[str, Mapping[str, Part]]) -> dict[str, Part]:
    """Spaces, or values, of members as one.

    >>> joint({"ridge": {"penalty": 0.3}, "ar": {"order": 5}})
    {'ridge.penalty': 0.3, 'ar.order': 5}
    """
    return {f"{member}.{name}": one for member, space in spaces.items() for name, one in space.items()}


def own(params: Params, member: str) -> Params:
    """A member's own parameters.

    >>> own({"ridge.penalty": 0.3, "ar.order": 5}, "ar")
    {'order': 5}
    """
    parts = ((*name.partition("."), value) for name, value in params.items())
    return {name: value for whose, _, name, value in parts if whose == member}


def read_predictor(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Predictions float64 (rows,) of float64 (rows, features), by the members that `ensemble.json` names.

    Raises:
        RegistryError: a member's file is missing, or not the one that was written.
    """
    facts = json.loads(path.read_text())
    features = tuple(facts["features"])
    members = [_read_member(path.parent, one) for one in facts["members"]]

    def predict(rows: np.ndarray) -> np.ndarray:
        said = [output.apply(predictor(rows), rows, features) for _, predictor, output in members]
        return np.average(said, axis=0, weights=[weight for weight, _, _ in members])

    return predict


def _read_member(folder: Path, facts: Mapping[str, Any]) -> tuple[float, Callable[[np.ndarray], np.ndarray], Output]:
    path = folder / facts["file"]
    if not path.is_file() or digest(path) != facts["sha256"]:
        raise RegistryError(f"{path} is missing or damaged: download or train it again")
    return float(facts["weight"]), read_model(path, facts["flavor"]), Output.from_json(facts["output"])

"""What every algorithm promises, and the records that travel between tuning and the registry.

    space --suggest(trial)--> params --fit(X, y)--> FittedModel --save--> ModelFile

`X` is float64 (rows, features), `y` float64 (rows,): realised returns over the horizon, not
scaled. Whatever scaling an algorithm needs it learns inside `fit`, so from training rows only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from cryptobot_assets.models.output import Output

Value = float | int | str
Params = Mapping[str, Value]


class SearchTrial(Protocol):
    """The draws a search space needs; Optuna's trials and any fake have them."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str: ...


@dataclass(frozen=True)
class Range:
    """One searched parameter: `[low, high]`, an integer when `low` is one, and where to start."""

    low: float | int
    high: float | int
    default: float | int
    log: bool = False

    def draw(self, trial: SearchTrial, name: str) -> float | int:
        """A value of this range, as the trial chooses."""
        if isinstance(self.low, int):
            return trial.suggest_int(name, self.low, int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def holds(self, value: object) -> bool:
        """Whether a trial could draw this value."""
        number = int if isinstance(self.low, int) else (int, float)
        return isinstance(value, number) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One searched parameter that is a word among a few, and where to start."""

    options: tuple[str, ...]
    default: str

    def draw(self, trial: SearchTrial, name: str) -> str:
        """One of the words, as the trial chooses."""
        return trial.suggest_categorical(name, self.options)

    def holds(self, value: object) -> bool:
        """Whether it is one of the words."""
        return value in self.options


Space = Mapping[str, Range | Choice]


def suggest(space: Space, trial: SearchTrial) -> dict[str, Value]:
    """Parameters drawn from a search space."""
    return {name: span.draw(trial, name) for name, span in space.items()}


def defaults(space: Space) -> dict[str, Value]:
    """Where the search of a space starts."""
    return {name: span.default for name, span in space.items()}


@dataclass(frozen=True)
class ModelFile:
    """A saved model: which library reads it (an MLflow flavour, or our own) and its name in its folder.

    `parts` are the flavours of the files beside it that it is made of, where it is not alone.
    """

    flavor: Literal["onnx", "xgboost", "catboost", "ensemble"]
    filename: str
    parts: tuple[str, ...] = ()

    @property
    def libraries(self) -> tuple[str, ...]:
        """What reading it takes."""
        return self.parts or (self.flavor,)


class FittedModel(Protocol):
    """A model after `fit`, still in memory."""

    @property
    def output(self) -> Output:
        """What `predict` does with the saved file's numbers; a card keeps it."""
        ...

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predicted returns, float64 (rows,), of float (rows, features)."""
        ...

    def importance(self, features: Sequence[str]) -> dict[str, float]:
        """Share of each feature in the predictions, >= 0, summing to 1, or all 0 for a constant."""
        ...

    def save(self, folder: Path) -> ModelFile:
        """Write the model, in a format that no reader has to unpickle."""
        ...


class Algorithm(Protocol):
    """One of the algorithms of `models.algorithms.ALGORITHMS`."""

    @property
    def name(self) -> str: ...

    @property
    def space(self) -> Space: ...

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
        """A model of `y` given `X`; the same arguments give the same model.

        Args:
            X: float64 (rows, features), finite.
            y: float64 (rows,), finite.
            params: a value for each name of the space.
            seed: of whatever is random inside.
            weight: (rows,), >= 0; unset means all rows alike.
            threads: to use inside the fit; another number may change the last bits of a tree.
            time: (rows,) datetime64, any order; whatever needs to know what came first needs it.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One tuning trial: what was tried and what came of it.

    `value` is the mean squared error over all test rows of the folds and `fold_values` that of
    each fold, in squared returns; a failed trial has neither, and `error` says why. `predicted` are
    the predictions of those rows, fold after fold.
    """

    number: int
    params: dict[str, Value]
    value: float | None
    fold_values: tuple[float, ...]
    seconds: float
    state: Literal["complete", "failed"]
    error: str | None = None
    predicted: np.ndarray | None = field(default=None, compare=False, repr=False)


def shares(strengths: np.ndarray, features: Sequence[str]) -> dict[str, float]:
    """`strengths` (features,) >= 0 as shares of their sum, by feature.

    >>> shares(np.array([3.0, 1.0]), ["a", "b"])
    {'a': 0.75, 'b': 0.25}
    """
    total = float(strengths.sum())
    return {name: float(strength) / total if total else 0.0 for name, strength in zip(features, strengths, strict=True)}

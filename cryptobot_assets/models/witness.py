"""A witness of tuning: which rows every fit was really handed, and which rows it was then tested on.

It stands in an algorithm's place and knows rows by their bits, so that it tells what came, not what
was meant to come: a row that is in no table, because somebody scaled it first, is unknown to it.
Rows that stand in the table twice cannot be told apart; they are counted and left out.
"""

from __future__ import annotations

import copy
import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cryptobot_assets.models.base import Algorithm, FittedModel, Params, Space
from cryptobot_assets.models.ensemble import members_of


@dataclass(frozen=True, eq=False)
class Seen:
    """Rows of the table that a call was handed.

    Attributes:
        rows: sorted positions in the table.
        unknown: how many rows of the call are not in it.
        alike: how many are in it more than once.
    """

    rows: np.ndarray
    unknown: int
    alike: int


@dataclass(frozen=True, eq=False)
class WitnessedFit:
    """One fit.

    Attributes:
        seen: rows it was handed.
        other_labels: share of rows whose label has another sign than the table's; labels may be scaled and cut.
        off_centre: how far the mean that the model scales by lies from that of the rows it was
            handed, in their standard deviations, the farthest feature; 0 where it does not scale.
        tested: rows of each prediction asked of the model, in order.
    """

    seen: Seen
    other_labels: float
    off_centre: float
    tested: list[Seen] = field(default_factory=list)


class Witness:
    """An algorithm that remembers what it was shown; for several threads at once.

    Args:
        algorithm: the one that really fits.
        X: float64 (rows, features), the table. y: float64 (rows,), its labels.
    """

    def __init__(self, algorithm: Algorithm, X: np.ndarray, y: np.ndarray) -> None:
        self._algorithm = algorithm
        self._y = y
        self._keys, self._first, self._counts = np.unique(_fingerprints(X), return_index=True, return_counts=True)
        self._known: dict[int, tuple[weakref.ref[Any], Seen, np.ndarray]] = {}
        self.fits: list[WitnessedFit] = []

    def afresh(self) -> Witness:
        """A witness of the same table that has seen nothing yet."""
        other = copy.copy(self)
        other._known, other.fits = {}, []  # noqa: SLF001 its own copy
        return other

    @property
    def members(self) -> dict[str, Witness]:
        """Of an ensemble: a witness in each member's place, whose fits are remembered here."""
        return {name: self._standing_for(member) for name, member in members_of(self._algorithm).items()}

    def _standing_for(self, algorithm: Algorithm) -> Witness:
        other = copy.copy(self)
        other._algorithm = algorithm  # noqa: SLF001 its own copy
        return other

    @property
    def name(self) -> str:
        return self._algorithm.name

    @property
    def space(self) -> Space:
        return self._algorithm.space

    def fit(self, X: np.ndarray, y: np.ndarray, *, params: Params, **options: Any) -> Watched:
        """The algorithm's own fit, remembered."""
        seen, places = self._look(X)
        told = places >= 0
        other = float(np.mean(self._y[places[told]] * y[told] < 0)) if told.any() else 0.0
        model = self._algorithm.fit(X, y, params=params, **options)
        fit = WitnessedFit(seen, other, _off_centre(model, X, options.get("weight")))
        self.fits.append(fit)
        return Watched(model, fit, self)

    def look(self, X: np.ndarray) -> Seen:
        """Which rows of the table these are; the same array is looked at once."""
        return self._look(X)[0]

    def _look(self, X: np.ndarray) -> tuple[Seen, np.ndarray]:
        held = self._known.get(id(X))
        if held is None or held[0]() is not X:
            prints = _fingerprints(X)
            found = np.minimum(np.searchsorted(self._keys, prints), len(self._keys) - 1)
            known = self._keys[found] == prints
            alone = known & (self._counts[found] == 1)
            places = np.where(alone, self._first[found], -1)
            seen = Seen(np.sort(places[alone]), int((~known).sum()), int((known & ~alone).sum()))
            held = self._known[id(X)] = (weakref.ref(X), seen, places)
        return held[1], held[2]


@dataclass(frozen=True)
class Watched:
    """A fitted model whose predictions are remembered by its fit."""

    model: FittedModel
    fit: WitnessedFit
    witness: Witness

    def predict(self, X: np.ndarray) -> np.ndarray:
        """See `FittedModel.predict`."""
        self.fit.tested.append(self.witness.look(X))
        return self.model.predict(X)

    def __getattr__(self, name: str) -> Any:
        """All else is the model's own."""
        return getattr(self.model, name)


def _fingerprints(X: np.ndarray) -> np.ndarray:
    """(rows,) uint64, one number a row of bits."""
    factors = np.random.default_rng(2).integers(1, 2**63, X.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return np.ascontiguousarray(X, dtype=np.float64).view(np.uint64) @ factors


def _off_centre(model: FittedModel, X: np.ndarray, weight: np.ndarray | None) -> float:
    centre = getattr(model, "centre", None)
    if centre is None:
        return 0.0
    mean = np.average(X, axis=0, weights=weight)
    spread = X.std(axis=0)
    varied = spread > 0
    return float(np.max(np.abs(centre - mean)[varied] / spread[varied], initial=0.0))

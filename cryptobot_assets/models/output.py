"""From the number a model file gives to the predicted return.

Most files give the return itself. A score or a probability is read off a line of knots; a return
in units of volatility is multiplied by the row's volatility. What is applied stands in the model's
card, so that serving repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptobot_assets.domain.volatility import trailing_volatility


@dataclass(frozen=True)
class VolatilityScale:
    """Trailing volatility held between two bounds, which were learned from training rows."""

    floor: float
    ceiling: float

    def of(self, X: np.ndarray, features: Sequence[str]) -> np.ndarray:
        """The scale of each row (rows,), > 0."""
        scale: np.ndarray = np.clip(trailing_volatility(X, features), self.floor, self.ceiling)
        return scale


@dataclass(frozen=True)
class Output:
    """What is done with a model file's numbers, in this order; by default nothing.

    Attributes:
        knots: (number, return) pairs in order of the number; straight between them and flat beyond.
        volatility: the scale that is multiplied in, None for none.

    >>> Output(knots=((0.0, -0.02), (1.0, 0.03))).apply(np.array([0.5, 2.0]), np.empty((2, 0)), ()).tolist()
    [0.005, 0.03]
    """

    knots: tuple[tuple[float, float], ...] = ()
    volatility: VolatilityScale | None = None

    def apply(self, raw: np.ndarray, X: np.ndarray, features: Sequence[str]) -> np.ndarray:
        """Predicted returns (rows,) of a file's numbers (rows,) for rows X (rows, features)."""
        if self.knots:
            raw = np.interp(raw, *np.array(self.knots).T)
        return raw if self.volatility is None else raw * self.volatility.of(X, features)

    def to_json(self) -> dict[str, Any]:
        """As a card holds it: empty for nothing."""
        scale = {"volatility": vars(self.volatility)} if self.volatility else {}
        return {**scale, "knots": [list(knot) for knot in self.knots]} if self.knots else scale

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Output:
        """Of what `to_json` gave; raises KeyError, TypeError or ValueError on anything else."""
        scale = facts.get("volatility")
        return cls(
            knots=tuple((float(number), float(value)) for number, value in facts.get("knots", ())),
            volatility=VolatilityScale(float(scale["floor"]), float(scale["ceiling"])) if scale else None,
        )


AS_IT_IS = Output()

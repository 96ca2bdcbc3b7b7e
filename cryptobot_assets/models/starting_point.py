"""Values that a tuning tries first, and whose they are.

A model trained anew every week begins where last week's search ended: a good place of a hundred
trials is not lost for the chance of twenty. The search then goes on from its defaults, so that old
values stay only where they still predict best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptobot_assets.models.base import Space, Value, defaults


@dataclass(frozen=True)
class StartingPoint:
    """One set of values for a search space; without values a search begins with its defaults.

    Attributes:
        values: one for each name of the space, each within it.
        sources: the registered versions that were tuned to them, as `models:/name/number`.
        left_out: values of those versions that the space does not hold (any more).
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    left_out: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, space: Space, tuned: Mapping[str, Value], *sources: str) -> StartingPoint:
        """Tuned values as far as the space holds them, its defaults for the rest; nowhere when it holds none."""
        kept = {name: value for name, value in tuned.items() if name in space and space[name].holds(value)}
        left_out = {name: value for name, value in tuned.items() if name not in kept}
        return cls({**defaults(space), **kept} if kept else {}, sources, left_out)

    def to_json(self) -> dict[str, Any]:
        """As a tag of a run holds it."""
        return {"values": dict(self.values), "sources": list(self.sources), "left_out": dict(self.left_out)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> StartingPoint:
        """Of what `to_json` gave."""
        return cls(facts["values"], tuple(facts["sources"]), facts["left_out"])


NOWHERE = StartingPoint()
"""No starting point: the search begins with its defaults."""

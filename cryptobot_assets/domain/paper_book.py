"""What the paper bot is held to, knows at an hour, and holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from cryptobot_assets.domain.allocation import AllocationRule
from cryptobot_assets.domain.pool_value import SLEEVES, Costs

Quantities = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the bot is held to: allocation rule, costs, USDT to begin with, capacity.

    `capacity` is the largest share of the value traded in 24 h that a sleeve may hold of a currency.
    """

    market: str
    rule: AllocationRule
    costs: Costs
    capital: float
    capacity: float


@dataclass(frozen=True, kw_only=True)
class Hour:
    """What is known at an hour, and the opens just after it; arrays are of n currencies, sorted by name.

    Attributes:
        time: the hour, whole, UTC.
        algorithm, version: the model in force.
        score: (n,) predicted return of the rows known at the hour, NaN where a row is not complete.
        closes: (169, n) hourly closes, the last known at the hour; NaN where there is none.
        marks: (n,) last close known at the hour, NaN before the first.
        traded: (n,) value traded in the 24 h before.
        opens, opened: (n,) first open from the hour on that is near enough, and its kline's time; NaN and
            None where there is none.
    """

    time: datetime
    algorithm: str
    version: str
    currencies: tuple[str, ...]
    score: np.ndarray
    closes: np.ndarray
    marks: np.ndarray
    traded: np.ndarray
    opens: np.ndarray
    opened: tuple[datetime | None, ...]

    def of(self, chosen: np.ndarray) -> Hour:
        """The same of some currencies, by mask."""
        return replace(
            self,
            currencies=tuple(np.array(self.currencies, dtype=object)[chosen]),
            score=self.score[chosen],
            closes=np.ascontiguousarray(self.closes[:, chosen]),
            marks=self.marks[chosen],
            traded=self.traded[chosen],
            opens=self.opens[chosen],
            opened=tuple(one for one, wanted in zip(self.opened, chosen, strict=True) if wanted),
        )

    def seen(self, held: Collection[str]) -> Hour:
        """The same of the currencies that had a close in the past week or are held.

        A currency listed later changes nothing, not even the order in which numbers are added.
        """
        alive = np.isfinite(self.closes).any(axis=0)
        return self.of(alive | np.isin(np.array(self.currencies, dtype=str), list(held)))


@dataclass(frozen=True)
class Book:
    """What is held: USDT and quantities of each of the 24 sleeves, and quantities of the control accounts."""

    cash: tuple[float, ...]
    held: tuple[Quantities, ...]
    controls: Mapping[str, Quantities]

    @classmethod
    def opened(cls, capital: float) -> Book:
        """Equal cash in every sleeve, nothing held."""
        return cls((capital / SLEEVES,) * SLEEVES, ({},) * SLEEVES, {})

    def with_sleeve(self, sleeve: int, cash: float, held: Quantities) -> Book:
        """The same with another sleeve in place of one."""
        return replace(
            self,
            cash=(*self.cash[:sleeve], cash, *self.cash[sleeve + 1 :]),
            held=(*self.held[:sleeve], held, *self.held[sleeve + 1 :]),
        )

    @property
    def names(self) -> set[str]:
        """Every currency that some account holds."""
        return {name for account in (*self.held, *self.controls.values()) for name in account}

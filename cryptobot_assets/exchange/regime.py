"""A change planted in a simulated market: from a day on it is another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from cryptobot_assets.domain.intervals import day_start, parse_day
from cryptobot_assets.errors import UsageError
from cryptobot_assets.exchange.market import to_ms

LEAST, MOST = -2.0, 10.0
"""Prices that go on as they went by more than twice the documented truth would run away."""
MOST_VOLATILITY = 10.0
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Regime:
    """What a simulated market is like from the first instant (UTC) of `day` on; see `simulation`.

    Attributes:
        predictability: strength of the truth.
        volatility: what the size of all other moves is multiplied by.
    """

    day: date
    predictability: float
    volatility: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Regime:
        """Of `DAY:STRENGTH` or `DAY:STRENGTH:VOLATILITY`; raises `UsageError`.

        >>> Regime.parse("2025-03-01:-2:3")
        Regime(day=datetime.date(2025, 3, 1), predictability=-2.0, volatility=3.0)
        """
        day, *numbers = text.split(":")
        try:
            return cls(parse_day(day), *map(float, numbers))
        except (UsageError, ValueError, TypeError):
            raise UsageError(f"regime {text!r} is no DAY:STRENGTH: write for example 2025-03-01:-2") from None

    def __str__(self) -> str:
        return f"{self.day}:{self.predictability:g}" + (f":{self.volatility:g}" if self.volatility != 1 else "")


def course(hours: int, start_ms: int, predictability: float, regime: Regime | None) -> tuple[np.ndarray, np.ndarray]:
    """By hour from `start_ms` on: strength of the truth, and what the size of all other moves is multiplied by.

    Raises:
        UsageError: the regime is out of range, or does not begin within the hours.
    """
    strength, volatility = np.full(hours, predictability), np.ones(hours)
    if regime is None:
        return strength, volatility
    if not LEAST <= regime.predictability <= MOST:
        raise UsageError(f"regime {regime}: strength {regime.predictability:g} is not between {LEAST:g} and {MOST:g}")
    if not 0 < regime.volatility <= MOST_VOLATILITY:
        raise UsageError(f"regime {regime}: volatility {regime.volatility:g} is not above 0 and at most 10")
    first = (to_ms(day_start(regime.day)) - start_ms) // HOUR_MS
    if not 0 < first < hours:
        raise UsageError(f"regime {regime} does not begin within the simulated days")
    strength[first:], volatility[first:] = regime.predictability, regime.volatility
    return strength, volatility

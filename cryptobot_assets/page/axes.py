"""Axes of charts: from values to places, ticks that people can read, and how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

MOST_TICKS = 6
LONGEST_NAME = 22
MINUS = "\N{MINUS SIGN}"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTH_DAYS = 30.4

Format = Callable[[float], str]


def percent(value: float) -> str:
    """0.0123 as `1.23%`."""
    return f"{value * 100:.3g}%".replace("-", MINUS)


def plain(value: float) -> str:
    """A number in at most four digits."""
    return f"{value:.4g}".replace("-", MINUS)


def short(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"


def month_day(value: float) -> str:
    """Days since 1970 as `5 Mar`."""
    moment = EPOCH + timedelta(days=value)
    return f"{moment.day} {moment:%b}"


def month_year(value: float) -> str:
    """Days since 1970 as `Mar 2024`."""
    return f"{EPOCH + timedelta(days=value):%b %Y}"


def days_since_1970(times: Iterable[datetime]) -> np.ndarray:
    """Instants (UTC) as days, the numbers of a time axis."""
    return np.array([(one.replace(tzinfo=UTC) - EPOCH) / timedelta(days=1) for one in times])


@dataclass(frozen=True)
class Axis:
    """One axis: its title with units, its ends, and how its ticks read."""

    title: str
    low: float
    high: float
    format: Format = plain
    log: bool = False
    ticks: Sequence[float] | None = None

    @classmethod
    def around(cls, title: str, *values: np.ndarray | Sequence[float] | float, **options: Any) -> Axis:
        """An axis that holds all finite values with a little room; logarithmic where `log=True`."""
        flat = np.concatenate([np.atleast_1d(np.asarray(one, dtype=float)).ravel() for one in values])
        flat = flat[np.isfinite(flat)]
        low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 1.0)
        if options.get("log"):
            low, high = max(low, 1e-12), max(high, 1e-12)
            room = max((high / low) ** 0.06, 1.01)
            return cls(title, low / room, high * room, **options)
        room = (high - low) * 0.06 or max(abs(high) * 0.1, 1e-6)
        return cls(title, low - room, high + room, **options)

    @classmethod
    def of_time(cls, times: Sequence[datetime]) -> Axis:
        """An axis of days from the first instant to the last."""
        days = days_since_1970(times)
        low, high = float(days.min()), max(float(days.max()), float(days.min()) + 1)
        ticks = _day_ticks(low, high)
        return cls("time (UTC)", low, high, month_year if high - low > 400 else month_day, ticks=ticks)

    @classmethod
    def of_names(cls, names: Sequence[str]) -> Axis:
        """An axis of names from top to bottom: the first is highest, at `len(names) - 1`."""
        last = len(names) - 1
        ticks = [float(place) for place in range(len(names))]
        return cls("", -0.6, last + 0.6, lambda place: short(names[last - round(place)]), ticks=ticks)

    def places(self) -> list[float]:
        """Where its ticks are."""
        if self.ticks is not None:
            return list(self.ticks)
        if self.log:
            return _log_ticks(self.low, self.high)
        step = _nice((self.high - self.low) / (MOST_TICKS - 1))
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def share(self, values: np.ndarray | Sequence[float] | float) -> np.ndarray:
        """Values as shares of the way from its low end to its high one."""
        places, low, high = np.asarray(values, dtype=np.float64), self.low, self.high
        if self.log:
            places, low, high = np.log(np.maximum(places, 1e-300)), math.log(low), math.log(high)
        return (places - low) / (high - low)


def _nice(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    wanted = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    inside = [one for one in wanted if low <= one <= high]
    if len(inside) >= 3:
        return inside[:: -(-len(inside) // MOST_TICKS)]
    return Axis("", low, high).places()


def _day_ticks(low: float, high: float) -> list[float]:
    """Days, Mondays or firsts of months, whichever are few enough."""
    for step in (1, 2, 7, 14):
        if (high - low) / step <= MOST_TICKS:
            first = math.ceil(low)
            first += (-(first - 4)) % 7 if step >= 7 else 0  # 1970-01-05 was a Monday
            return [float(day) for day in range(first, math.floor(high) + 1, step)]
    months = round((high - low) / MONTH_DAYS)
    every = next(one for one in (1, 2, 3, 6, 12, 24, 60, 120) if months / one <= MOST_TICKS or one == 120)
    start = EPOCH + timedelta(days=low)
    firsts = [datetime(start.year + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(months + 26)]
    days = days_since_1970([one for one in firsts if (one.month - 1) % min(every, 12) == 0])
    return [float(day) for day in days if low <= day <= high][:: max(every // 12, 1)]

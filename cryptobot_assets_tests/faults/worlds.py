"""Small markets in which every way of reading klines is needed, and what an undisturbed reader knows of them.

Each has months whose file is published, days that only daily files or REST give, a currency that is
listed in the middle, outages across midnight and across the end of a month, and days without a kline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property

import numpy as np
import polars as pl

from cryptobot_assets.domain.intervals import DAY, interval_delta
from cryptobot_assets.exchange.market import Market, Series, from_ms, to_ms
from cryptobot_assets.exchange.simulation import simulate

Outage = tuple[datetime, datetime]


def utc(month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """An instant of the winter the worlds live in: November and December are 2024, the rest 2025."""
    return datetime(2024 if month > 10 else 2025, month, day, hour, minute, second, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class World:
    """One market, the partitions it is stored in, and the last instant anyone looks at it."""

    interval: str
    partition: str
    listed: Mapping[str, datetime]
    outages: tuple[Outage, ...]
    end: datetime

    @property
    def currencies(self) -> tuple[str, ...]:
        return tuple(self.listed)

    @property
    def step(self) -> timedelta:
        return interval_delta(self.interval)

    @property
    def start(self) -> datetime:
        return min(self.listed.values())

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day."""
        return self.start.date(), self.end.date()

    @cached_property
    def market(self) -> Market:
        """Its klines, a few later than `end` among them."""
        first = self.start.replace(hour=0, minute=0)
        days = (self.end - first) // DAY + 2
        whole = simulate(3, self.currencies, days=days, interval=self.interval, start=first)
        series = {name: self._cut(whole.series(name), listed) for name, listed in self.listed.items()}
        return Market(label="replay", interval=self.interval, series=series)

    def _cut(self, series: Series, listed: datetime) -> Series:
        kept = series.time_ms >= to_ms(listed)
        for first, end in self.outages:
            kept &= (series.time_ms < to_ms(first)) | (series.time_ms >= to_ms(end))
        return Series(**{name: column[kept] for name, column in series.columns.items()})

    def finished(self, moment: datetime) -> datetime:
        """First open time that is not finished at `moment`."""
        step = int(self.step.total_seconds())
        return datetime.fromtimestamp(int(moment.timestamp()) // step * step, UTC)

    def times(self, currency: str) -> np.ndarray:
        """Open times of its klines in milliseconds."""
        return self.market.series(currency).time_ms

    def missing(self, currency: str, start: datetime, end: datetime) -> pl.Series:
        """Open times in [start, end) of which a currency that is listed has no kline."""
        first = max(start, from_ms(int(self.times(currency)[0])))
        grid = np.arange(to_ms(first), to_ms(end), to_ms(first + self.step) - to_ms(first))
        lacking = pl.Series("time", np.setdiff1d(grid, self.times(currency)))
        return pl.select(pl.from_epoch(lacking, "ms").dt.cast_time_unit("us").dt.replace_time_zone("UTC")).to_series()


@cache
def minutes() -> World:
    """Klines of 1m by the day: a monthly file, daily files and REST."""
    return World(
        interval="1m",
        partition="day",
        listed={"BTCUSDT": utc(12, 29, 18), "ETHUSDT": utc(12, 31, 22, 17)},
        outages=(
            (utc(12, 30, 2, 30), utc(12, 30, 3, 45)),
            (utc(12, 31, 23, 57), utc(1, 1, 0, 4)),
            (utc(1, 1, 12), utc(1, 1, 12, 1)),
            (utc(1, 2, 20), utc(1, 6, 23, 30)),
        ),
        end=utc(1, 7, 2, 20, 30),
    )


@cache
def hours() -> World:
    """Klines of 1h by the month: monthly files and REST."""
    return World(
        interval="1h",
        partition="month",
        listed={"BTCUSDT": utc(11, 28, 10), "ETHUSDT": utc(12, 9, 5), "SOLUSDT": utc(2, 1, 15)},
        outages=(
            (utc(12, 3, 2), utc(12, 3, 9)),
            (utc(12, 31, 22), utc(1, 1, 3)),
            (utc(1, 10, 12), utc(1, 10, 13)),
            (utc(1, 20), utc(1, 27)),
        ),
        end=utc(2, 4, 3, 20),
    )

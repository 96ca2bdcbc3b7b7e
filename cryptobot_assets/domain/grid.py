"""Closes laid on their regular grid of time, one array per currency, gaps as NaN.

At 1m a currency's closes become an (hours, 60) array: the row is the hour, the column the minute
within it, so that samples spaced one hour apart are one column and a shift by h hours is a shift
by h rows. At 1h the array is (hours, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cryptobot_assets.domain.intervals import HOUR, floor_hour, interval_delta, rows_per_hour
from cryptobot_assets.domain.klines import UTC_TIME

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class HourGrid:
    """Values of one currency on the grid of an interval.

    Attributes:
        start: first instant of row 0, a whole hour (UTC).
        interval: "1m" or "1h".
        values: float64, shape (hours, rows per hour); NaN where no kline is known.
    """

    start: datetime
    interval: str
    values: np.ndarray

    @property
    def end(self) -> datetime:
        """First instant after the last row."""
        return self.start + len(self.values) * HOUR

    def hour_index(self, time: datetime) -> int:
        """Row of the hour that holds `time`."""
        return int((floor_hour(time) - self.start) / HOUR)

    def times(self, first_hour: int, last_hour: int) -> np.ndarray:
        """Open times of rows [first_hour, last_hour), flat, datetime64[us]."""
        step = np.timedelta64(int(interval_delta(self.interval) / MICROSECOND), "us")
        per_hour = rows_per_hour(self.interval)
        first = np.datetime64(self.start.replace(tzinfo=None), "us") + step * (first_hour * per_hour)
        return first + step * np.arange((last_hour - first_hour) * per_hour)


def microseconds(times: pl.Series) -> np.ndarray:
    """Instants as int64 microseconds since 1970."""
    exact = times if times.dtype == UTC_TIME else times.dt.cast_time_unit("us")
    return exact.to_physical().to_numpy()


def to_grid(times: pl.Series, values: pl.Series, interval: str, start: datetime, end: datetime) -> HourGrid:
    """Lay one currency's values on the grid of [start, end), both whole hours.

    Rows outside the range are ignored; missing ones are NaN. Keys must be unique.
    """
    return lay(microseconds(times), values.to_numpy(), interval, start, end)


def lay(times: np.ndarray, values: np.ndarray, interval: str, start: datetime, end: datetime) -> HourGrid:
    """`to_grid` of arrays: times are int64 microseconds since 1970."""
    per_hour = rows_per_hour(interval)
    hours = max(int((end - start) / HOUR), 0)
    flat = np.full(hours * per_hour, np.nan)
    step = int(interval_delta(interval) / MICROSECOND)
    origin = int(start.timestamp()) * 1_000_000
    slots = (times - origin) // step
    inside = (slots >= 0) & (slots < len(flat))
    flat[slots[inside]] = values[inside]
    return HourGrid(start=start, interval=interval, values=flat.reshape(hours, per_hour))

"""Kline intervals and the grids of time they draw."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from cryptobot_assets.errors import UsageError

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

INTERVALS: dict[str, timedelta] = {"1m": timedelta(minutes=1), "1h": HOUR}


def interval_delta(interval: str) -> timedelta:
    """Length of one kline.

    >>> interval_delta("1m")
    datetime.timedelta(seconds=60)
    """
    if interval not in INTERVALS:
        raise UsageError(f"interval {interval!r} is not supported: use one of {', '.join(INTERVALS)}")
    return INTERVALS[interval]


def rows_per_hour(interval: str) -> int:
    """Klines in one hour: 60 at 1m, 1 at 1h."""
    return int(HOUR / interval_delta(interval))


def day_start(day: date) -> datetime:
    """First instant (UTC) of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@lru_cache(maxsize=10_000)
def parse_day(text: str) -> date:
    """A day written YYYY-MM-DD; raises `UsageError` on anything else.

    >>> parse_day("2024-02-29")
    datetime.date(2024, 2, 29)
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise UsageError(f"{text!r} is not a day: write YYYY-MM-DD, for example 2024-05-13") from error


def floor_hour(time: datetime) -> datetime:
    """The last whole hour at or before `time`."""
    return time.replace(minute=0, second=0, microsecond=0)

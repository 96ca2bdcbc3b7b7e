"""The first and the last of a column of times, which to Polars could be a value of any type."""

from __future__ import annotations

from datetime import datetime

import polars as pl


def earliest(times: pl.Series) -> datetime:
    """The first of at least one time.

    >>> earliest(pl.Series([datetime(2024, 1, 2), datetime(2024, 1, 1)]))
    datetime.datetime(2024, 1, 1, 0, 0)
    """
    return _require_time(times.min())


def latest(times: pl.Series) -> datetime:
    """The last of at least one time."""
    return _require_time(times.max())


def _require_time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"no column of times, or an empty one: {value}")
    return value

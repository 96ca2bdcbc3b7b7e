from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.klines import UTC_TIME

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def test_first_and_last_whatever_the_order():
    times = pl.Series([NOON, NOON - timedelta(hours=1), None, NOON + timedelta(hours=1)], dtype=UTC_TIME)
    assert (earliest(times), latest(times)) == (NOON - timedelta(hours=1), NOON + timedelta(hours=1))


@pytest.mark.parametrize("column", [pl.Series([], dtype=UTC_TIME), pl.Series([1.0, 2.0])])
def test_without_a_time_there_is_neither(column: pl.Series):
    for ask in (earliest, latest):
        with pytest.raises(TypeError, match="no column of times, or an empty one"):
            ask(column)

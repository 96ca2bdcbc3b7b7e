"""Intervals and days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from cryptobot_assets.domain.intervals import day_start, floor_hour, interval_delta, parse_day, rows_per_hour
from cryptobot_assets.errors import UsageError


def test_intervals_have_their_length():
    assert (interval_delta("1m"), interval_delta("1h")) == (timedelta(minutes=1), timedelta(hours=1))
    assert (rows_per_hour("1m"), rows_per_hour("1h")) == (60, 1)


@pytest.mark.parametrize("interval", ["5m", "1M", "", "1H"])
def test_other_intervals_are_refused_with_those_there_are(interval):
    with pytest.raises(UsageError, match="use one of 1m, 1h"):
        interval_delta(interval)


def test_days_are_utc():
    assert day_start(date(2024, 2, 29)) == datetime(2024, 2, 29, tzinfo=UTC)
    assert parse_day("2024-02-29") == date(2024, 2, 29)


@pytest.mark.parametrize("text", ["2023-02-29", "20240229", "29.02.2024", "", "2024-02-29T00:00"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(UsageError, match="write YYYY-MM-DD"):
        parse_day(text)


def test_flooring_keeps_the_hour():
    assert floor_hour(datetime(2024, 1, 1, 23, 59, 59, 999_999, UTC)) == datetime(2024, 1, 1, 23, tzinfo=UTC)
    elsewhere = timezone(timedelta(hours=2))
    assert floor_hour(datetime(2024, 1, 1, 5, 7, tzinfo=elsewhere)) == datetime(2024, 1, 1, 3, tzinfo=UTC)

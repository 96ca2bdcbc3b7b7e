"""Thinning: the same line with fewer points, and holes that stay holes."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import hours_after, make_times
from cryptobot_assets.domain.thinning import broken, line_points, thin

MINUTE = timedelta(minutes=1)


def make_series(count: int, seed: int = 0) -> pl.DataFrame:
    values = np.random.default_rng(seed).normal(size=count)
    return pl.DataFrame({"time": make_times(count, interval="1m"), "close": values, "other": values})


def test_few_rows_are_all_drawn() -> None:
    rows = make_series(20)
    assert thin(rows, "close", columns=10).equals(rows.select("time", "close"))


@pytest.mark.parametrize("count", [1_000, 1_441, 43_200])
def test_every_column_keeps_its_lowest_and_highest_row(count: int) -> None:
    rows = make_series(count)
    points = thin(rows, "close", columns=70)
    assert 70 < points.height <= 140 and points["time"].is_sorted()
    column = ((pl.col("time") - rows["time"][0]).dt.total_microseconds()) * 70 // ((count - 1) * 60_000_000 + 1)
    ends = [
        frame.group_by(c=column).agg(low=pl.min("close"), high=pl.max("close")).sort("c") for frame in (rows, points)
    ]
    assert ends[0].equals(ends[1])
    assert points.join(rows, on=["time", "close"]).height == points.height, "no point is invented"


def test_a_hole_breaks_the_line_and_rows_without_a_value_are_holes() -> None:
    rows = make_series(100).with_columns(
        close=pl.when(pl.col("time").dt.minute().is_between(10, 19)).then(None).otherwise("close")
    )
    points = line_points(rows, "close", step=MINUTE)
    assert points["close"].null_count() == 2, "minutes 10 to 19 of two hours"
    gap = points.filter(pl.col("close").is_null())["time"][0]
    assert hours_after(9 / 60) < gap < hours_after(20 / 60)


def test_a_thinned_line_stops_at_a_long_hole_alone() -> None:
    rows = make_series(43_200).filter(~pl.col("time").is_between(hours_after(100), hours_after(124)))
    rows = rows.filter(pl.col("time") != hours_after(300))
    points = line_points(rows, "close", step=MINUTE, columns=700)
    assert points["close"].null_count() == 1 and points.height <= 1_401


def test_nothing_and_one_row_are_drawn_as_they_are() -> None:
    assert line_points(make_series(0), "close", step=MINUTE).height == 0
    assert line_points(make_series(1), "close", step=MINUTE).height == 1
    assert broken(make_series(2).select("time", "close"), longest=MINUTE)["close"].null_count() == 0

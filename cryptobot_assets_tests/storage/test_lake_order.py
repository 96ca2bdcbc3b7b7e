"""Rows come out as a sort would leave them, however the files lie."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.storage import lake_order
from cryptobot_assets.storage.lake_order import in_order

START = datetime(2025, 1, 1, tzinfo=UTC)
KEY = ("currency", "time")


def grid(currency: str, minutes: int) -> pl.DataFrame:
    times = pl.datetime_range(START, START + timedelta(minutes=minutes - 1), "1m", time_unit="us", eager=True)
    return pl.DataFrame({"currency": currency, "time": times, "close": np.arange(float(minutes))})


SORTED = pl.concat([grid("AUSDT", 1_000), grid("BUSDT", 700)])
HOLED = SORTED.filter(pl.col("close") % 300 != 7)


def pieces(rows: pl.DataFrame, length: int) -> list[pl.DataFrame]:
    return [rows.slice(begin, length) for begin in range(0, rows.height, length)]


def interleaved(rows: pl.DataFrame) -> pl.DataFrame:
    """As a merge of two files leaves them: a few rows of each in turns, some steps of time alike across the seam."""
    parts = pieces(rows, 100)
    return pl.concat([parts[place] for place in (*range(0, len(parts), 2), *range(1, len(parts), 2))])


@pytest.mark.parametrize("rows", [SORTED, HOLED], ids=["whole", "holed"])
@pytest.mark.parametrize(
    "lie",
    [
        lambda rows: rows,
        lambda rows: pl.concat(reversed(pieces(rows, 400))),
        interleaved,
        lambda rows: rows.reverse(),
        lambda rows: rows.sample(fraction=1, shuffle=True, seed=3),
        lambda rows: rows.head(1),
        lambda rows: rows.head(0),
    ],
    ids=["sorted", "files", "merged", "backwards", "shuffled", "one", "none"],
)
def test_rows_come_as_a_sort_leaves_them(rows: pl.DataFrame, lie):
    lying = lie(rows)
    assert in_order(lying, KEY).equals(lying.sort(KEY))
    assert in_order(lying.filter(pl.col("currency") == "BUSDT"), ("time",)).equals(
        lying.filter(pl.col("currency") == "BUSDT").sort("time")
    )


def test_runs_that_lie_in_each_other_are_sorted_by_the_row():
    odd = SORTED.filter(pl.col("currency") == "AUSDT").gather_every(2, 1)
    even = SORTED.filter(pl.col("currency") == "AUSDT").gather_every(2)
    assert in_order(pl.concat([odd, even]), ("time",)).equals(SORTED.head(1_000))


def test_a_key_without_a_time_is_sorted():
    assert in_order(SORTED.reverse(), ("currency", "close")).equals(SORTED)


def test_long_runs_are_moved_and_not_sorted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lake_order.pl.DataFrame, "sort", _sort_of_few)
    assert in_order(pl.concat(reversed(pieces(SORTED, 400))), KEY).equals(SORTED)


SORT = pl.DataFrame.sort


def _sort_of_few(rows: pl.DataFrame, *by, **options) -> pl.DataFrame:
    assert rows.height < 20
    return SORT(rows, *by, **options)

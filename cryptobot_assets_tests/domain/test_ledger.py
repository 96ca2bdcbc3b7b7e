"""The ledger: why each kline is not there, on made grids and on the outages that the exchange really had."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.domain.gap_grid import GapGrid, Kind
from cryptobot_assets.domain.intervals import DAY, interval_delta
from cryptobot_assets.domain.ledger import COVERAGE_SCHEMA, Lifetimes, class_gaps, coverage, newest_instant

NAMES = ("ADA", "BTC", "ETH", "LTC")
LETTERS = {
    "x": Kind.NONE, ".": Kind.NONE, "?": Kind.UNCLASSED, "o": Kind.OUTAGE, "h": Kind.HALT, "n": Kind.NOT_LISTED,
    "d": Kind.DELISTED, "m": Kind.MISSING,
}  # fmt: skip
"""x is a stored kline, a dot a hole that nobody recorded, the others what is recorded."""


def judge(*rows: str, lifetimes: Lifetimes | None = None, ingested: str = "", until: float | None = None) -> list[str]:
    """Class hourly grids drawn as letters, a row a currency; the answer drawn likewise."""
    grid = GapGrid(NAMES[: len(rows)], START, hours_after(len(rows[0])), "1h")
    stored = np.array([[letter == "x" for letter in row] for row in rows])
    recorded = np.array([[LETTERS[letter] for letter in row] for row in rows], np.uint8)
    spans = {
        name: (hours_after(row.index("x")), hours_after(row.rindex("x")))
        for name, row in zip(NAMES, rows, strict=False)
        if "x" in row
    }
    mask = np.array([[letter == "i" for letter in ingested or "i" * len(rows[0])]] * len(rows))
    kinds = class_gaps(
        grid, stored=stored, recorded=recorded, ingested=mask, lifetimes=lifetimes or Lifetimes(spans),
        until=hours_after(len(rows[0]) if until is None else until),
    )  # fmt: skip
    told = {kind: (kind.text or " ")[0] for kind in Kind} | {Kind.NONE: " "}
    return [
        "".join("x" if have else told[Kind(kind)] for have, kind in zip(*pair, strict=True))
        for pair in zip(stored, kinds, strict=True)
    ]


def test_what_three_or_more_lack_and_nobody_has_is_an_outage():
    assert judge("x??x", "x??x", "x?xx") == ["xoox", "xoox", "xoxx"]
    assert judge("x?x", "x?x", "x?x") == ["xox"] * 3


def test_two_are_too_few_to_tell_and_one_that_has_it_ends_it():
    assert judge("x?x", "x?x") == ["xmx", "xmx"]
    assert judge("xx?xx", "xx?xx", "xx?xx", "xxxxx") == ["xxmxx"] * 3 + ["xxxxx"]


def test_the_instants_in_which_an_outage_began_and_ended_belong_to_it():
    assert judge("x????x", "xx??xx", "xx??xx") == ["xoooox", "xxooxx", "xxooxx"]
    assert judge("x????x", "xxx?xx", "xxx?xx") == ["xmooox", "xxxoxx", "xxxoxx"], "one instant, no more"


def test_a_hole_that_nobody_recorded_is_missing_even_when_everyone_lacks_it():
    assert judge("x.x", "x.x", "x.x") == ["xmx"] * 3
    assert judge("x?x", "x?x", "x?x", "x.x") == ["xox"] * 3 + ["xmx"]
    assert judge("x?x", "x?x", "x.x") == ["xmx"] * 3, "two that asked do not make an outage"


def test_what_the_exchange_did_not_give_when_asked_again_is_a_halt_or_an_outage():
    assert judge("x?x", "xhx", "xxx") == ["xmx", "xhx", "xxx"]
    assert judge("xhx", "xhx", "xhx") == ["xox"] * 3


def test_an_outage_that_someone_traded_in_is_to_be_asked_for():
    assert judge("xxoxx", "xxoxx", "xxoxx", "xxxxx") == ["xxmxx"] * 3 + ["xxxxx"]


def test_before_a_listing_only_the_record_or_the_list_is_believed():
    assert judge("nn?xx", "xxxxx") == ["nnmxx", "xxxxx"]
    assert judge("..xxx", "xxxxx") == ["mmxxx", "xxxxx"], "rows may have vanished at the front"
    listed = {"ADA": [(hours_after(2), None)]}
    spans = {"ADA": (hours_after(3), hours_after(4)), "BTC": (START, hours_after(4))}
    assert judge("...xx", "xxxxx", lifetimes=Lifetimes(spans, listed)) == ["nnmxx", "xxxxx"]


def test_an_end_is_believed_after_a_day_or_from_the_list():
    long, whole = "xx" + "?" * 24, "x" * 26
    assert judge(long, whole) == ["xx" + "d" * 24, whole]
    assert judge(long[:-1], whole[:-1]) == ["xx" + "m" * 23, whole[:-1]]
    assert judge("xx" + "." * 24, whole) == ["xx" + "m" * 24, whole], "rows may have vanished at the back"
    spans = {"ADA": (START, hours_after(1)), "BTC": (START, hours_after(25))}
    trading = Lifetimes(spans, {"ADA": [(START, None)]})
    assert judge(long, whole, lifetimes=trading) == ["xx" + "m" * 24, whole], "a long halt is not an end"
    twice = Lifetimes(spans, {"ADA": [(START, hours_after(2)), (hours_after(20), hours_after(22))]})
    assert judge("xx" + "." * 24, whole, lifetimes=twice) == ["xx" + "d" * 18 + "mm" + "d" * 4, whole]


def test_a_currency_that_returns_was_halted_not_delisted():
    assert judge("xddddx", "xxxxxx") == ["xmmmmx", "xxxxxx"]


def test_nothing_is_expected_where_nothing_was_ingested_nor_after_the_newest_instant():
    assert judge("x....x", "x....x", ingested="iiiooi") == ["xmm  x", "xmm  x"]
    assert judge("x.....", until=3) == ["xmm   "]
    assert judge("......", "......", until=0) == ["      "] * 2


@settings(max_examples=100, deadline=None)
@given(
    recorded=arrays(np.uint8, (4, 30), elements=st.sampled_from([int(kind) for kind in Kind])),
    stored=arrays(bool, (4, 30), elements=st.sampled_from([True, True, True, False])),
    ingested=arrays(bool, (4, 30), elements=st.sampled_from([True, True, True, False])),
    until=st.integers(0, 30),
)
def test_every_gap_gets_one_kind_and_classing_again_changes_nothing(recorded, stored, ingested, until):
    grid = GapGrid(NAMES, START, hours_after(30), "1h")
    rows = {name: np.flatnonzero(row) for name, row in zip(NAMES, stored, strict=True) if row.any()}
    known = Lifetimes({name: (hours_after(int(at[0])), hours_after(int(at[-1]))) for name, at in rows.items()})
    options = {"stored": stored, "ingested": ingested, "lifetimes": known, "until": hours_after(until)}
    once = class_gaps(grid, recorded=recorded, **options)
    assert np.array_equal(once != Kind.NONE, ingested & ~stored & (np.arange(30) < until))
    assert not (once == Kind.UNCLASSED).any()
    assert np.array_equal(class_gaps(grid, recorded=once, **options), once)


def test_coverage_adds_up_and_tells_only_of_days_with_something():
    grid = GapGrid(("BTC", "ETH"), START, START + 3 * DAY, "1h")
    stored, kinds = np.zeros(grid.shape, bool), np.zeros(grid.shape, np.uint8)
    stored[0, :20] = True
    kinds[0, 20:22], kinds[0, 22:23], kinds[0, 23:24] = Kind.OUTAGE, Kind.HALT, Kind.MISSING
    kinds[1, 24:30], kinds[1, 30:33] = Kind.NOT_LISTED, Kind.DELISTED
    rows = coverage(grid, stored, kinds)
    assert rows.schema == pl.Schema(COVERAGE_SCHEMA)
    assert rows.rows() == [("BTC", START, 24, 20, 2, 1, 0, 0, 1), ("ETH", START + DAY, 0, 0, 0, 0, 6, 3, 0)]


def test_the_newest_instant_is_that_of_klines_and_of_recorded_gaps():
    gaps = pl.DataFrame({"end": [hours_after(9)]})
    known = Lifetimes({"BTC": (START, hours_after(5)), "ETH": (START, hours_after(7))})
    assert newest_instant(known, gaps.clear(), "1h") == hours_after(8)
    assert newest_instant(known, gaps, "1h") == hours_after(9)
    assert newest_instant(Lifetimes({}), gaps.clear(), "1h") is None


def class_recorded(
    rows: pl.DataFrame, interval: str, start: datetime, end: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Gaps and coverage of recorded klines, all gaps as ingestion records them."""
    grid = GapGrid(tuple(rows["currency"].unique().sort()), start, end, interval)
    stored = np.zeros(grid.shape, bool)
    assert grid.mark(stored, rows) == 0
    spans = rows.group_by("currency").agg(first=pl.col("time").min(), newest=pl.col("time").max())
    known = Lifetimes({currency: (first, newest) for currency, first, newest in spans.iter_rows()})
    until = newest_instant(known, grid.runs(np.zeros(grid.shape, np.uint8)), interval)
    recorded = np.where(stored, Kind.NONE, Kind.UNCLASSED).astype(np.uint8)
    kinds = class_gaps(
        grid, stored=stored, recorded=recorded, ingested=np.ones(grid.shape, bool), lifetimes=known, until=until
    )
    return grid.runs(kinds), coverage(grid, stored, kinds)


@pytest.mark.recorded
def test_the_minutes_the_exchange_was_down_in_april_2021_are_outages_of_all(recorded_klines: Path):
    rows = pl.read_parquet(recorded_klines / "spot-1m-2021Q2.parquet", columns=["currency", "time"])
    first, last = (rows["time"].dt.truncate("1d").min(), rows["time"].dt.truncate("1d").max() + DAY)
    gaps, days = class_recorded(rows, "1m", first, last)
    outages = gaps.filter(kind="outage").group_by("end").agg(pl.len(), pl.col("time").min(), pl.col("missing").sum())
    moment = lambda *at: datetime(2021, 4, *at, tzinfo=UTC)  # noqa: E731 a word for a date
    assert outages.sort("end").rows() == [
        (moment(20, 4, 30), 10, moment(20, 2), 10 * 150),
        (moment(25, 8, 45), 10, moment(25, 4, 1), 10 * 284 - 3),
    ], "three of ten had traded in the minute in which it began"
    (end,) = gaps.filter(kind="delisted").rows()
    assert end[:2] == ("BTC", datetime(2021, 5, 20, 20, 41, tzinfo=UTC)), "its recording ends there"
    assert gaps.filter(kind="missing")["missing"].to_list() == [1] * 7, "the last minute, which two have"
    assert gaps["kind"].is_in(["outage", "delisted", "missing"]).all()
    assert days["stored"].sum() == rows.height == days["expected"].sum() - 10 * 434 + 3 - 7


@pytest.mark.recorded
def test_the_hour_the_exchange_was_down_in_march_2023_is_an_outage_of_all_87(recorded_klines: Path):
    rows = pl.read_parquet(recorded_klines / "spot-1h-2022-08_2023-12.parquet", columns=["currency", "time"])
    month = datetime(2023, 3, 1, tzinfo=UTC), datetime(2023, 4, 1, tzinfo=UTC)
    gaps, days = class_recorded(rows.filter(pl.col("time").is_between(*month, closed="left")), "1h", *month)
    hour = datetime(2023, 3, 24, 13, tzinfo=UTC)
    assert gaps.drop("currency").unique().rows() == [(hour, hour + timedelta(hours=1), 1, "outage")]
    assert gaps["currency"].n_unique() == gaps.height == 87
    assert days.filter(pl.col("outage") == 1)["time"].unique().to_list() == [datetime(2023, 3, 24, tzinfo=UTC)]
    assert days.height == 87 * 31
    assert days["expected"].unique().to_list() == [24 * interval_delta("1h") // interval_delta("1h")]

"""Gaps: what is missing, no more and no less."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptobot_assets.contracts.factories import START, hours_after, make_times
from cryptobot_assets.domain.gaps import GAP_COLUMNS, clip_gaps, find_gaps, merge_gaps, splice_gaps
from cryptobot_assets.domain.intervals import HOUR, interval_delta
from cryptobot_assets.domain.klines import UTC_TIME
from cryptobot_assets.storage.store import GAPS


def times_of(numbers, interval: str = "1h") -> pl.Series:
    step = interval_delta(interval)
    return pl.Series([START + n * step for n in sorted(numbers)], dtype=UTC_TIME)


@settings(max_examples=60, deadline=None)
@given(present=st.sets(st.integers(0, 39)), interval=st.sampled_from(["1m", "1h"]))
def test_gaps_are_the_maximal_runs_of_what_is_absent(present, interval):
    step = interval_delta(interval)
    gaps = find_gaps("BTCUSDT", times_of(present, interval), interval, START, START + 40 * step)
    found = [
        START + n * step
        for row in gaps.iter_rows(named=True)
        for n in range((row["time"] - START) // step, (row["end"] - START) // step)
    ]
    assert found == [START + n * step for n in range(40) if n not in present]
    assert gaps["missing"].sum() == len(found)
    assert all(row["time"] - step not in found and row["end"] not in found for row in gaps.iter_rows(named=True))


def test_a_whole_range_has_no_gap():
    assert find_gaps("BTCUSDT", make_times(24), "1h", START, hours_after(24)).is_empty()
    assert find_gaps("BTCUSDT", make_times(1).clear(), "1h", START, START).is_empty()


def test_a_gap_is_a_row_of_the_table():
    gaps = find_gaps("BTCUSDT", times_of([0, 3]), "1h", START, hours_after(6))
    assert gaps.schema == pl.Schema({name: kind for name, kind in GAPS.schema.items() if name != "kind"})
    assert gaps.rows() == [
        ("BTCUSDT", hours_after(1), hours_after(3), 2),
        ("BTCUSDT", hours_after(4), hours_after(6), 2),
    ]


@settings(max_examples=30, deadline=None)
@given(present=st.sets(st.integers(0, 59)), cut=st.integers(1, 59))
def test_merging_undoes_a_cut_at_a_partition_border(present, cut):
    border, end = hours_after(cut), hours_after(60)
    parts = [
        find_gaps("BTCUSDT", times_of(n for n in present if n < cut), "1h", START, border),
        find_gaps("BTCUSDT", times_of(n for n in present if n >= cut), "1h", border, end),
    ]
    whole = find_gaps("BTCUSDT", times_of(present), "1h", START, end)
    assert merge_gaps(pl.concat(reversed(parts))).rows() == whole.rows()


def test_merging_keeps_currencies_and_separate_runs_apart():
    one = find_gaps("BTCUSDT", times_of([0, 3]), "1h", START, hours_after(6))
    other = find_gaps("ADAUSDT", times_of([0]), "1h", START, hours_after(1) + timedelta(hours=2))
    merged = merge_gaps(pl.concat([one, other]))
    assert merged.rows() == [*other.rows(), *one.rows()]
    assert merge_gaps(one.clear()).is_empty()


@pytest.mark.parametrize("missing", [1, 25])
def test_a_gap_ends_where_klines_return(missing):
    gaps = find_gaps("BTCUSDT", times_of([0, missing + 1]), "1h", START, hours_after(missing + 2))
    assert gaps.rows() == [("BTCUSDT", START + HOUR, hours_after(missing + 1), missing)]


def lacked(hours: dict[str, set[int]]) -> pl.DataFrame:
    """The gaps of currencies that lack these hours of thirty."""
    none = find_gaps("-", make_times(1).clear(), "1h", START, START)
    gaps = [
        find_gaps(name, times_of(set(range(30)) - absent), "1h", START, hours_after(30))
        for name, absent in hours.items()
    ]
    return pl.concat([none, *gaps]).with_columns(kind=pl.lit(None, pl.String))


def as_set(gaps: pl.DataFrame) -> set[tuple[str, int]]:
    """Currency and hour of every kline that gaps lack; none is told twice."""
    hours = [
        (row["currency"], hour)
        for row in gaps.iter_rows(named=True)
        for hour in range((row["time"] - START) // HOUR, (row["end"] - START) // HOUR)
    ]
    assert len(hours) == len(set(hours)) == gaps["missing"].sum()
    return set(hours)


@settings(max_examples=60, deadline=None)
@given(
    held=st.dictionaries(st.sampled_from("AB"), st.sets(st.integers(0, 29))),
    made=st.dictionaries(st.sampled_from("AB"), st.sets(st.integers(0, 29))),
    border=st.lists(st.integers(0, 30), min_size=2, max_size=2, unique=True),
)
def test_splicing_replaces_what_is_said_of_a_span_and_nothing_else(held, made, border):
    first, last = sorted(border)
    start, end = hours_after(first), hours_after(last)
    before, inside = lacked(held), lacked(made)
    part = clip_gaps(inside, start, end, "1h")
    assert as_set(part) == {(name, hour) for name, hour in as_set(inside) if first <= hour < last}
    spliced = splice_gaps(before, part, start, end, "1h")
    outside = {(name, hour) for name, hour in as_set(before) if not first <= hour < last}
    assert as_set(spliced) == outside | as_set(part)
    assert spliced.schema == before.schema
    assert spliced.select(GAP_COLUMNS).equals(merge_gaps(spliced)), "runs that touch are one row"


def test_runs_of_two_kinds_stay_apart():
    held = lacked({"A": {3, 4}}).with_columns(kind=pl.lit("halt"))
    part = lacked({"A": {5, 6}})
    spliced = splice_gaps(held, part, hours_after(5), hours_after(9), "1h")
    assert spliced["kind"].to_list() == ["halt", None]
    assert splice_gaps(
        spliced, part.with_columns(kind=pl.lit("halt")), hours_after(5), hours_after(9), "1h"
    ).rows() == [("A", hours_after(3), hours_after(7), 4, "halt")]

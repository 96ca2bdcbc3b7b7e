"""Gaps: what is missing, no more and no less."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptobot_assets.domain.gaps import find_gaps, merge_gaps
from cryptobot_assets.domain.intervals import HOUR, interval_delta
from cryptobot_assets.domain.klines import UTC_TIME
from cryptobot_assets.storage.store import GAPS
from cryptobot_assets_tests.factories import START, hours_after, make_times


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

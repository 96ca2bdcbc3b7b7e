"""The grid of gaps: what is painted is read back, and a key is marked once."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryptobot_assets.contracts.factories import START, hours_after, make_times
from cryptobot_assets.domain.gap_grid import GapGrid, Kind
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.storage.store import GAPS

GRID = GapGrid(("ETHUSDT", "BTCUSDT"), START, hours_after(12), "1h")


def rows_at(*hours: float, currency: str = "BTCUSDT") -> pl.DataFrame:
    times = pl.Series("time", [hours_after(hour) for hour in hours], make_times(1).dtype)
    return pl.DataFrame({"currency": [currency] * len(hours), "time": times})


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, GRID.shape, elements=st.sampled_from([int(kind) for kind in Kind])))
def test_what_is_painted_from_runs_is_what_the_runs_were_read_from(kinds):
    runs = GRID.runs(kinds)
    painted = np.zeros(GRID.shape, np.uint8)
    GRID.paint(painted, runs)
    assert np.array_equal(painted, kinds)
    assert runs["missing"].sum() == np.count_nonzero(kinds)
    assert runs.schema == pl.Schema(GAPS.schema)
    for before, after in zip(runs.rows(named=True), runs.rows(named=True)[1:], strict=False):
        touching = before["currency"] == after["currency"] and before["end"] == after["time"]
        assert not (touching and before["kind"] == after["kind"]), "runs are as long as can be"


def test_every_kind_has_a_word_and_unclassed_is_null():
    kinds = np.array([list(Kind), [Kind.NONE] * len(Kind)], np.uint8)
    grid = GapGrid(GRID.currencies, START, hours_after(len(Kind)), "1h")
    assert grid.runs(kinds)["kind"].to_list() == [None, "outage", "halt", "not_listed", "delisted", "missing"]


def test_gaps_are_cut_to_the_grid_and_other_currencies_left_out():
    kinds = np.zeros(GRID.shape, np.uint8)
    gaps = pl.DataFrame(
        {
            "currency": ["BTCUSDT", "ETHUSDT", "XRPUSDT", "ETHUSDT"],
            "time": [hours_after(-5), hours_after(10), START, hours_after(20)],
            "end": [hours_after(2), hours_after(30), hours_after(9), hours_after(25)],
            "kind": ["halt", None, "outage", "halt"],
        }
    )
    GRID.paint(kinds, gaps)
    assert kinds.tolist() == [[0] * 10 + [Kind.UNCLASSED] * 2, [Kind.HALT] * 2 + [0] * 10]


def test_marking_counts_the_rows_that_give_no_kline_of_their_own():
    stored = np.zeros(GRID.shape, bool)
    assert GRID.mark(stored, rows_at(0, 3, 4)) == 0
    assert GRID.mark(stored, rows_at(3, 5, 5)) == 2, "3 was there, 5 comes twice"
    assert GRID.mark(stored, rows_at(6.5, -1, 12)) == 3, "none is an instant of the grid"
    assert GRID.mark(stored, rows_at(0, currency="ETHUSDT")) == 0
    assert np.flatnonzero(stored[1]).tolist() == [0, 3, 4, 5]
    assert np.flatnonzero(stored[0]).tolist() == [0]


def test_columns_are_those_of_a_span():
    assert GRID.columns(hours_after(2), hours_after(4)) == slice(2, 4)
    assert GRID.columns(hours_after(-9), hours_after(40)) == slice(0, 12)
    assert GRID.columns(hours_after(4), hours_after(2)) == slice(4, 2)
    assert GRID.slot(hours_after(3) + timedelta(minutes=59)) == 3
    assert GRID.shape == (2, 12 * HOUR // HOUR)

"""Indicators as stored: one row a kline, the same however the days are cut into blocks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from cryptobot_assets.assets.features import compute, indicate, keep_up, make, store_indicators
from cryptobot_assets.checks.features import IndicatorChecks
from cryptobot_assets.contracts.factories import START, hours_after, make_klines
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.partitions import Span
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS, KLINES

DAYS = 130
END = START + DAYS * DAY


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    klines = make_klines(DAYS * 24, gaps=[(hours_after(2400), hours_after(2405))])
    lake.replace(KLINES, klines, start=None, end=None)
    return lake


def indicate_days(lake: Lake, start: datetime, end: datetime) -> pl.DataFrame:
    return indicate(Span("BTCUSDT", start, end), "1h", lake)


def test_every_kline_has_its_row_and_no_other(lake: Lake) -> None:
    indicate_days(lake, START, END)
    keys = ["currency", "time", "close"]
    assert lake.read(INDICATORS, columns=keys).equals(lake.read(KLINES, columns=keys))


def test_blocks_give_what_the_whole_gives(lake: Lake) -> None:
    whole = indicator_frame(lake.read(KLINES, columns=["currency", "time", "close"]), "1h", START, END)
    for days in range(0, DAYS, 13):
        indicate_days(lake, START + days * DAY, START + (days + 13) * DAY)
    assert lake.read(INDICATORS).equals(whole.select(list(INDICATORS.schema)))


def test_currencies_written_together_have_what_each_has_alone(lake: Lake) -> None:
    ether = make_klines(DAYS * 24, currency="ETHUSDT", seed=3)
    lake.replace(KLINES, ether, start=None, end=None, currency="ETHUSDT")
    indicate_days(lake, START, END)
    alone = lake.read(INDICATORS)
    spans = [Span(name, START, END) for name in ("BTCUSDT", "ETHUSDT")]
    store_indicators([(span, compute(span, "1h", lake)) for span in spans], lake)
    assert lake.read(INDICATORS, currency="BTCUSDT").equals(alone)
    assert lake.read(INDICATORS, currency="ETHUSDT").equals(indicator_frame(ether, "1h", START, END))


def test_writing_twice_leaves_one_copy(lake: Lake) -> None:
    indicate_days(lake, START, END)
    once = lake.read(INDICATORS)
    indicate_days(lake, START + 40 * DAY, END)
    assert lake.read(INDICATORS).equals(once)


def test_days_without_klines_give_no_rows(lake: Lake) -> None:
    assert indicate_days(lake, END, END + 5 * DAY).is_empty()
    assert lake.read(INDICATORS).is_empty()


def test_klines_that_come_after_they_were_read_are_in_what_is_stored(lake: Lake, tmp_path: Path) -> None:
    """Another machine stores the days before a block between this one's reading and its writing."""
    late, everything = START + 50 * DAY, lake.read(KLINES)
    shared = Lake(str(tmp_path / "shared"))
    shared.replace(KLINES, everything.filter(pl.col("time") >= late), start=None, end=None)
    made = make(Span("BTCUSDT", late, END), "1h", shared, IndicatorChecks("1h"))
    shared.replace(KLINES, everything.filter(pl.col("time") < late), start=START, end=late)
    store_indicators([(made.block, made.rows)], shared)
    ((_, rows),) = keep_up([made], "1h", shared)
    truth = indicator_frame(everything.select("currency", "time", "close"), "1h", late, END)
    assert shared.read(INDICATORS).equals(truth) and rows.equals(truth) and not made.rows.equals(truth)

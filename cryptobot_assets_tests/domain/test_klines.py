"""The kline contract, rule by rule."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.domain.klines import KLINE_SCHEMA, require_klines
from cryptobot_assets.errors import BadKlines


def spoiled(row: int = 3, count: int = 6, **values: object) -> pl.DataFrame:
    """Six hours of klines, one of them with other values."""
    here = pl.int_range(pl.len()) == row
    return make_klines(count).with_columns(
        pl.when(here).then(pl.lit(value, KLINE_SCHEMA[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def test_whole_klines_come_back_sorted_by_key():
    klines = pl.concat([make_klines(5, currency="ETHUSDT"), make_klines(5, currency="ADAUSDT")])
    assert_frame_equal(require_klines(klines.reverse(), "1h"), klines.sort("currency", "time"))


def test_columns_beyond_the_contract_are_left_out_and_kinds_made_right():
    klines = make_klines(3).with_columns(pl.col("trades").cast(pl.Int32), extra=pl.lit(1))
    assert require_klines(klines, "1h").schema == pl.Schema(KLINE_SCHEMA)


def test_quote_volume_and_trades_may_be_unknown_and_volume_zero():
    assert require_klines(spoiled(quote_volume=None, trades=None, volume=0.0), "1h").height == 6


def test_no_klines_keep_every_rule():
    assert require_klines(make_klines(1).clear(), "1h").is_empty()


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        *[({name: None}, "prices and a volume") for name in ("open", "high", "low", "close", "volume")],
        *[({name: float("nan")}, "prices and a volume") for name in ("open", "high", "low", "close", "volume")],
        *[({name: float("inf")}, "prices and a volume") for name in ("high", "volume")],
        ({"currency": None}, "a currency"),
        ({"time": None}, "a time"),
        ({"time": START + timedelta(minutes=30)}, "a time on the 1h grid"),
        ({"high": 0.02, "low": 0.01, "open": 0.01, "close": 0.03}, r"high >= max\(open, close\)"),
        ({"high": 0.02, "low": 0.01, "open": 0.03, "close": 0.01}, r"high >= max\(open, close\)"),
        ({"low": 1e6, "high": 1e7, "close": 1e7, "open": 1.0}, r"low <= min\(open, close\)"),
        ({"low": 1e6, "high": 1e7, "open": 1e7, "close": 1.0}, r"low <= min\(open, close\)"),
        ({"low": 0.0}, "low > 0"),
        ({"low": -1.0}, "low > 0"),
        ({"volume": -0.001}, "volume >= 0"),
        ({"time": START}, "a key of its own"),
    ],
)
def test_a_broken_rule_is_named(values, rule):
    with pytest.raises(BadKlines, match=f"of 6 klines lack .*{rule}"):
        require_klines(spoiled(**values), "1h")


def test_the_error_counts_the_rows_and_shows_the_first():
    with pytest.raises(BadKlines, match="1 of 6 klines lack low > 0; first: BTCUSDT 2024-01-01 03:00:00"):
        require_klines(spoiled(low=-1.0), "1h")
    with pytest.raises(BadKlines, match="2 of 6 klines lack a key of its own"):
        require_klines(spoiled(time=START), "1h")


def test_the_grid_is_the_interval_s():
    shifted = make_klines(3).with_columns(pl.col("time") + timedelta(minutes=7))
    assert require_klines(shifted, "1m").height == 3
    with pytest.raises(BadKlines, match="3 of 3 klines lack a time on the 1h grid"):
        require_klines(shifted, "1h")


def test_missing_columns_are_named():
    with pytest.raises(BadKlines, match="lack the columns volume, source"):
        require_klines(make_klines(2).drop("volume", "source"), "1h")

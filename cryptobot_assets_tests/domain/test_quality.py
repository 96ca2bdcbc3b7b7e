"""What is wrong is found, row by row, and nothing in recorded markets is taken for it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import START, hours_after, make_closes, make_klines
from cryptobot_assets.domain.grid import to_grid
from cryptobot_assets.domain.indicators import INDICATORS, LONGEST_LOOKBACK, indicator_frame
from cryptobot_assets.domain.intervals import DAY, HOUR, interval_delta
from cryptobot_assets.domain.quality import (
    find_disordered,
    find_jumps,
    find_off_grid,
    find_repeated,
    find_unexplained_nulls,
)


def spoiled(rows: pl.DataFrame, at: int, **values: object) -> pl.DataFrame:
    """The same rows, one of them with other values."""
    here = pl.int_range(pl.len()) == at
    return rows.with_columns(
        pl.when(here).then(pl.lit(value, rows.schema[name])).otherwise(name).alias(name)
        for name, value in values.items()
    )


def test_repeated_keys_are_found_once_for_each_row_too_many():
    rows = make_klines(5)
    assert find_repeated(rows).is_empty()
    twice = pl.concat([rows, rows[2:4], rows[2:3], make_klines(5, currency="ETHUSDT")]).sort("currency", "time")
    assert find_repeated(pl.concat([rows[4:], make_klines(5, start=hours_after(4), currency="X")])).is_empty()
    assert find_repeated(twice)["time"].to_list() == [hours_after(2), hours_after(2), hours_after(3)]


@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_times_beside_the_grid_are_found(interval: str):
    rows = make_klines(5, interval=interval)
    assert find_off_grid(rows, interval).is_empty()
    beside = hours_after(0) + interval_delta(interval) / 2
    assert find_off_grid(spoiled(rows, 3, time=beside), interval)["time"].to_list() == [beside]


@pytest.mark.parametrize(
    "values",
    [
        {"high": 1.0}, {"low": 1e9}, {"low": 0.0}, {"close": -1.0}, {"open": float("nan")}, {"close": float("inf")},
        {"high": None}, {"open": None},
    ],
)  # fmt: skip
def test_prices_out_of_order_are_found(values: dict[str, object]):
    rows = make_klines(5)
    assert find_disordered(rows).is_empty()
    assert find_disordered(spoiled(rows, 3, **values))["time"].to_list() == [hours_after(3)]


def continuous(count: int = 60, *, interval: str = "1h") -> pl.DataFrame:
    """Klines each of which opens where the one before closed."""
    return make_klines(count, interval=interval).with_columns(open=pl.col("close").shift(1).fill_null(pl.col("close")))


@pytest.mark.parametrize("factor", [1.06, 0.94, 10.0, 0.01])
def test_a_wrong_close_or_a_wrong_kline_is_a_jump(factor: float):
    rows = continuous()
    assert find_jumps(rows, "1h").is_empty()
    close, opens = rows["close"][30], rows["open"][30]
    only_close = spoiled(rows, 30, close=close * factor)
    whole = spoiled(only_close, 30, open=opens * factor)
    for wrong in (only_close, whole):
        assert find_jumps(wrong, "1h")["time"].to_list() == [hours_after(30)]


def test_a_leap_that_was_traded_back_is_none_nor_is_one_that_stays():
    rows = continuous()
    leapt = spoiled(rows, 30, close=rows["close"][30] * 1.5)
    traded = spoiled(leapt, 31, open=leapt["close"][30])
    assert find_jumps(traded, "1h").is_empty()
    doubled = rows.with_columns(pl.when(pl.int_range(pl.len()) >= 30).then(pl.col("close", "open") * 2))
    stays = doubled.with_columns(pl.col("close").fill_null(rows["close"]), pl.col("open").fill_null(rows["open"]))
    assert find_jumps(stays, "1h").is_empty()


def test_a_neighbour_beyond_a_gap_is_none():
    rows = spoiled(continuous(), 30, close=900.0)
    assert find_jumps(rows, "1h").height == 1
    for gone in (29, 31):
        assert find_jumps(rows.filter(pl.int_range(pl.len()) != gone), "1h").is_empty()
    assert find_jumps(rows.head(2), "1h").is_empty()


def test_prices_that_have_no_logarithm_are_the_business_of_another():
    assert find_jumps(spoiled(continuous(), 30, close=0.0), "1h").is_empty()


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("file", "interval"),
    [("spot-1m-2021Q2", "1m"), ("spot-1h-2022-08_2023-12", "1h"), ("spot-1h-2024", "1h")],
)
def test_recorded_markets_have_no_jump_and_no_disorder(file: str, interval: str, recorded_klines: Path):
    rows = pl.read_parquet(recorded_klines / f"{file}.parquet").sort("currency", "time")
    leaps = (pl.col("close") / pl.col("close").shift(1) - 1).abs().over("currency")
    assert rows.select(leaps.max()).item() > 0.1, "they do leap"
    found = [find_jumps(part, interval) for part in rows.partition_by("currency")]
    assert sum(part.height for part in found) == 0
    assert find_disordered(rows).is_empty()
    assert find_repeated(rows.select("currency", "time")).is_empty()
    assert find_off_grid(rows, interval).is_empty()


@pytest.mark.recorded
def test_one_price_in_a_thousand_off_by_a_tenth_is_found_in_a_recorded_market(recorded_klines: Path):
    rows = pl.read_parquet(recorded_klines / "spot-1m-2021Q2.parquet").filter(currency="ETH").sort("time")
    chosen = np.arange(500, rows.height - 500, 1000)
    wrong = rows.with_columns(
        close=pl.when(pl.int_range(pl.len()).is_in(chosen)).then(pl.col("close") * 1.1).otherwise("close")
    )
    found = find_jumps(wrong, "1m")["time"]
    assert found.is_in(rows["time"].gather(chosen).to_list()).all()
    assert found.len() >= 0.95 * len(chosen)


DAYS = 130
FIRST = START + LONGEST_LOOKBACK


def unexplained(closes: pl.DataFrame, indicators: pl.DataFrame, interval: str = "1h") -> list[tuple[object, ...]]:
    end = START + DAYS * DAY if interval == "1h" else FIRST + DAY
    grid = to_grid(closes["time"], closes["close"], interval, START, end)
    return find_unexplained_nulls(grid, grid.hour_index(FIRST), indicators).rows()


def indicated(closes: pl.DataFrame, interval: str = "1h") -> pl.DataFrame:
    return indicator_frame(closes, interval, FIRST, START + DAYS * DAY if interval == "1h" else FIRST + DAY)


@pytest.mark.parametrize("gaps", [[], [(FIRST + 5 * DAY, FIRST + 5 * DAY + HOUR)], [(START, START + 40 * DAY)]])
def test_nulls_of_gaps_are_explained(gaps: list):
    closes = make_closes(DAYS * 24, gaps=gaps)
    rows = indicated(closes)
    assert (rows.null_count().sum_horizontal().item() > 0) == bool(gaps)
    assert unexplained(closes, rows) == []


def test_nulls_of_gaps_are_explained_at_1m():
    hole = (FIRST - 3 * HOUR, FIRST - 3 * HOUR + timedelta(minutes=7))
    closes = make_closes(100 * 24 * 60, interval="1m", gaps=[hole])
    rows = indicated(closes, "1m")
    assert rows["rsi_14h"].null_count() == 7 * 24
    assert unexplained(closes, rows, "1m") == []
    nulled = spoiled(rows, 1300, bollinger_20h=None)
    assert unexplained(closes, nulled, "1m") == [("BTCUSDT", rows["time"][1300], "bollinger_20h")]


def test_nulls_of_flat_closes_are_explained():
    flat = make_closes(DAYS * 24).with_columns(close=pl.lit(1.0))
    rows = indicated(flat)
    flats = {name for name in rows.columns if rows[name].null_count()}
    assert flats == {"close_minmax_scale", "rsi_14h", "bollinger_20h"}
    assert unexplained(flat, rows) == []
    moving = flat.with_columns(close=pl.when(pl.col("time") == FIRST + 3 * HOUR).then(1.1).otherwise("close"))
    assert unexplained(moving, rows) != [], "they are not flat any more"


@pytest.mark.parametrize("indicator", INDICATORS, ids=lambda one: one.name)
@pytest.mark.parametrize("value", [None, float("inf")])
def test_any_other_null_is_not_nor_what_is_no_number(indicator, value):
    closes = make_closes(DAYS * 24)
    rows = spoiled(indicated(closes), 100, **{indicator.name: value})
    assert unexplained(closes, rows) == [("BTCUSDT", FIRST + 100 * HOUR, indicator.name)]


def test_what_is_no_number_is_not_explained_by_a_gap():
    hole = (FIRST - HOUR, FIRST)
    closes = make_closes(DAYS * 24, gaps=[hole])
    rows = spoiled(indicated(closes), 0, rsi_14h=float("nan"))
    assert unexplained(closes, rows) == [("BTCUSDT", FIRST, "rsi_14h")]

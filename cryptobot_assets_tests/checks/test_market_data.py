"""Checks of klines on what is stored: what another program did to the rows is seen."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cryptobot_assets.checks.market_data import JUMPS, KEYS, KLINE_CHECKS, ORDER, WHOLE, KlineChecks
from cryptobot_assets.contracts.factories import START, hours_after, make_klines
from cryptobot_assets.domain.gaps import find_gaps
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, KLINES
from cryptobot_assets_tests.checks.tampering import append

HOLE = hours_after(20), hours_after(22)
SPANS = [Span(name, START, hours_after(48)) for name in ("BTCUSDT", "ETHUSDT")]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two currencies of two days, with a hole that is recorded, and a kline on either side."""
    lake = Lake(str(tmp_path))
    for name in ("BTCUSDT", "ETHUSDT"):
        rows = make_klines(50, currency=name, start=START - HOUR, gaps=[HOLE])
        whole = rows.with_columns(open=pl.col("close").shift(1).fill_null(pl.col("close")))
        ordered = whole.with_columns(high=pl.max_horizontal("open", "close"), low=pl.min_horizontal("open", "close"))
        lake.replace(KLINES, ordered, start=None, end=None, currency=name)
        inside = ordered["time"].filter(ordered["time"].is_between(START, hours_after(48), closed="left"))
        gaps = find_gaps(name, inside, "1h", START, hours_after(48)).with_columns(kind=pl.lit(None, pl.String))
        lake.replace(GAPS, gaps, start=None, end=None, currency=name)
    return lake


def found(lake: Lake, spans: list[Span] = SPANS) -> dict[str, list[str]]:
    """Places by check; of checks that pass, none."""
    checks = KlineChecks("1h")
    checks.look(spans, lake)
    results = {result.check_name: result for result in checks.results("klines")}
    assert list(results) == [check.name for check in KLINE_CHECKS]
    return {
        name: [line.removeprefix("- ") for line in result.metadata["places"].value.splitlines()]
        for name, result in results.items()
        if not result.passed
    }


def change(lake: Lake, folder: Path, hour: float, **values: object) -> None:
    """Another program puts other values into one kline of BTC."""
    time = hours_after(hour)
    row = lake.read(KLINES, start=time, end=time + HOUR, currency="BTCUSDT")
    lake.replace(KLINES, row.clear(), start=time, end=time + HOUR, currency="BTCUSDT")
    append(folder, row.with_columns(**{name: pl.lit(value) for name, value in values.items()}))


def test_sound_klines_pass_and_are_counted(lake: Lake):
    assert found(lake) == found(lake, SPANS[:1]) == {}
    checks = KlineChecks("1h")
    checks.look(SPANS, lake)
    checks.look([Span("BTCUSDT", START, START)], lake)
    assert {result.metadata["rows_looked_at"].value for result in checks.results("klines")} == {2 * 46}


def test_a_key_twice_and_a_time_beside_the_grid(lake: Lake, tmp_path: Path):
    row = lake.read(KLINES, start=hours_after(7), end=hours_after(8), currency="BTCUSDT")
    append(tmp_path, row)
    assert found(lake) == {KEYS.name: ["BTCUSDT 2024-01-01 07:00"]}
    append(tmp_path, row.with_columns(time=pl.lit(hours_after(9.5), row.schema["time"])))
    assert found(lake)[KEYS.name] == ["BTCUSDT 2024-01-01 09:30", "BTCUSDT 2024-01-01 07:00"]
    assert found(lake, SPANS[1:]) == {}


def test_prices_out_of_order(lake: Lake, tmp_path: Path):
    start, end = hours_after(7), hours_after(9)
    first, second = lake.read(KLINES, start=start, end=end, currency="BTCUSDT").iter_slices(1)
    lake.replace(KLINES, first.clear(), start=start, end=end, currency="BTCUSDT")
    append(tmp_path, pl.concat([first.with_columns(high=1.0), second.with_columns(low=-1.0)]))
    told = found(lake)
    assert list(told) == [ORDER.name]
    assert [place[:24] for place in told[ORDER.name]] == ["BTCUSDT 2024-01-01 07:00", "BTCUSDT 2024-01-01 08:00"]
    assert "high 1.0" in told[ORDER.name][0]


def test_a_hole_that_nobody_recorded_and_a_gap_that_is_none(lake: Lake):
    empty = pl.DataFrame(schema=KLINES.schema)
    lake.replace(KLINES, empty, start=hours_after(5), end=hours_after(7), currency="BTCUSDT")
    filled = make_klines(2, start=HOLE[0])
    lake.replace(KLINES, filled, start=HOLE[0], end=HOLE[1], currency="BTCUSDT")
    assert [place[:50] for place in found(lake)[WHOLE.name]] == [
        "BTCUSDT 2024-01-01 05:00, end 2024-01-01 07:00:00+",
        "BTCUSDT 2024-01-01 20:00, end 2024-01-01 22:00:00+",
    ]


@pytest.mark.parametrize("hour", [0, 7, 47])
def test_a_jump_is_told_at_the_edges_of_what_was_written_too(lake: Lake, tmp_path: Path, hour: int):
    close = lake.read(KLINES, start=hours_after(hour), end=hours_after(hour + 1), currency="BTCUSDT")["close"][0]
    change(lake, tmp_path, hour, close=close * 1.3, high=close * 1.3)
    (place,) = found(lake)[JUMPS.name]
    assert place.startswith(f"BTCUSDT {hours_after(hour):%Y-%m-%d %H:%M}, close ")
    assert found(lake, [Span("BTCUSDT", hours_after(hour + 1), hours_after(48))]) == {}, "neighbours are not judged"


def test_what_was_not_finished_is_not_looked_at(lake: Lake):
    later = [Span("BTCUSDT", START, hours_after(48)), Span("ETHUSDT", hours_after(48), hours_after(48))]
    assert found(lake, later) == {}


def test_which_checks_block():
    assert {check.name for check in KLINE_CHECKS if check.blocking} == {KEYS.name, ORDER.name}

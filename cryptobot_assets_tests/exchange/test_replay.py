from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cryptobot_assets.errors import BadKlines, CryptobotError, UsageError
from cryptobot_assets.exchange.replay import load_replay

START = datetime(2024, 5, 1, tzinfo=UTC).replace(tzinfo=None)


def make_klines(count: int = 5, *, currency: str = "BTC", step: timedelta = timedelta(minutes=1), **columns: object):
    frame = pl.DataFrame(
        {
            "currency": [currency] * count,
            "time": [START + step * place for place in range(count)],
            "open": [100.0 + place for place in range(count)],
            "high": [103.0 + place for place in range(count)],
            "low": [99.0 + place for place in range(count)],
            "close": [101.0 + place for place in range(count)],
            "volume": [1.5] * count,
        }
    )
    return frame.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


def write(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_parquet(path)
    return path


def test_files_and_directories_become_one_market(tmp_path: Path) -> None:
    folder = tmp_path / "more" / "deep"
    folder.mkdir(parents=True)
    write(make_klines(currency="ETHUSDT"), folder / "eth.parquet")
    late = make_klines(8).slice(5)
    market = load_replay([write(late, tmp_path / "b.parquet"), write(make_klines(), tmp_path / "a.parquet"), folder])
    assert market.currencies == ("BTCUSDT", "ETHUSDT")
    assert (market.title, market.interval, market.rows) == ("replay", "1m", 13)
    assert market.series("BTCUSDT").open.tolist() == [100, 101, 102, 103, 104, 105, 106, 107]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_any_datetime_is_an_instant(tmp_path: Path, unit: str, zone: str | None) -> None:
    time = pl.col("time").dt.replace_time_zone("UTC").dt.convert_time_zone(zone or "UTC").dt.cast_time_unit(unit)
    frame = make_klines().with_columns(time if zone else time.dt.replace_time_zone(None))
    market = load_replay([write(frame, tmp_path / "k.parquet")])
    assert market.first_ms == START.replace(tzinfo=UTC).timestamp() * 1000


def test_hours_are_told_from_minutes(tmp_path: Path) -> None:
    hourly = make_klines(30, step=timedelta(hours=1)).filter(pl.int_range(pl.len()) != 7)
    assert load_replay([write(hourly, tmp_path / "h.parquet")]).interval == "1h"
    assert load_replay([write(make_klines(1), tmp_path / "one.parquet")]).interval == "1h"


def test_rows_said_twice_count_once(tmp_path: Path) -> None:
    frame = make_klines()
    market = load_replay([write(pl.concat([frame, frame]), tmp_path / "k.parquet")])
    assert market.rows == 5


def test_recorded_trades_are_kept(tmp_path: Path) -> None:
    frame = make_klines(2, trades=[3, 4], quote_volume=[10.0, 20.0])
    klines = load_replay([write(frame, tmp_path / "k.parquet")]).series("BTCUSDT")
    assert (klines.trades.tolist(), klines.quote_volume.tolist()) == ([3, 4], [10.0, 20.0])


BROKEN = {
    "two rows disagree": (pl.concat([make_klines(), make_klines(close=[101.5] * 5)]), "BTCUSDT at 2024-05-01 00:00"),
    "high under close": (make_klines(close=[101.0, 110, 103, 104, 105]), "high >= .*first at 2024-05-01 00:01"),
    "low over open": (make_klines(low=[99.0, 100, 102.5, 102, 103]), "low <= .*first at 2024-05-01 00:02"),
    "no price": (make_klines(low=[0.0, 100, 101, 102, 103]), "low > 0"),
    "below the wire": (make_klines(low=[1e-9, 100, 101, 102, 103]), "smallest price"),
    "negative volume": (make_klines(volume=[1.0, 1, 1, 1, -1]), "volume >= 0"),
    "not a number": (make_klines(close=[float("nan"), 102, 103, 104, 105]), "finite"),
    "infinite": (make_klines(high=[float("inf"), 104, 105, 106, 107]), "finite"),
    "nothing": (make_klines(volume=[1.0, None, 1, 1, 1]), "finite"),
    "off the grid": (
        make_klines(time=[START + timedelta(minutes=n, seconds=9 * (n == 3)) for n in range(5)]),
        "grid; first at 2024-05-01 00:03:09",
    ),
    "no currency": (make_klines(currency="B/T"), "'B/TUSDT' is no currency"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_klines_are_named(tmp_path: Path, case: str) -> None:
    frame, message = BROKEN[case]
    with pytest.raises(BadKlines, match=message):
        load_replay([write(frame, tmp_path / "k.parquet")])


UNREADABLE = {
    "columns": (make_klines().drop("volume", "low"), "lacks the columns low, volume"),
    "empty": (make_klines(0), "holds no klines"),
    "text": (make_klines(close=["a"] * 5), "column close cannot be of type String"),
    "time": (make_klines(time=[1, 2, 3, 4, 5]), "column time cannot be of type Int64"),
    "spacing": (make_klines(step=timedelta(minutes=5)), "0:05:00 apart"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_files_that_cannot_be_replayed_say_why(tmp_path: Path, case: str) -> None:
    frame, message = UNREADABLE[case]
    with pytest.raises(UsageError, match=message) as caught:
        load_replay([write(frame, tmp_path / "k.parquet")])
    assert "\n" not in str(caught.value)


def test_paths_that_are_not_klines_say_so(tmp_path: Path) -> None:
    text = tmp_path / "k.parquet"
    text.write_text("currency,time\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    for paths, message in (
        ([text], "not a Parquet file"),
        ([empty], "holds no Parquet file"),
        ([tmp_path / "gone"], "does not exist"),
        ([], "name a Parquet file"),
    ):
        with pytest.raises(CryptobotError, match=message) as caught:
            load_replay(paths)
        assert isinstance(caught.value, UsageError)
        assert "\n" not in str(caught.value)


@pytest.mark.recorded
def test_recorded_minutes_keep_their_outage(recorded_klines: Path) -> None:
    market = load_replay([recorded_klines / "spot-1m-2021Q2.parquet"])
    assert (market.interval, len(market.currencies), market.rows) == ("1m", 10, 1_031_645)
    hole = [round(datetime(2021, 4, 25, 4, minute, tzinfo=UTC).timestamp() * 1000) for minute in (1, 45)]
    assert len(market.series("BTCUSDT").between(*hole)) == 0

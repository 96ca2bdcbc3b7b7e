"""Ingestion: what the exchange recorded, once, whole and finished; what it did not is a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.assets.market_data import market_data_assets, store_klines
from cryptobot_assets.contracts.factories import START, hours_after, make_klines
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.market import to_ms
from cryptobot_assets.partitions import Partitions, Span
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, KLINES, Table
from cryptobot_assets_tests.exchange.markets import HOUR_MS, START_MS, make_market, make_series

DAYS = Span("BTCUSDT", START, START + 3 * DAY)


@dataclass
class FakeExchange:
    """Serves these klines, those finished at `now`, two at a time."""

    rows: pl.DataFrame
    now: datetime
    market: str = "replay of a test"

    def first_time(self, currency: str, interval: str) -> datetime | None:
        return self.rows["time"].min()

    def server_time(self) -> datetime:
        return self.now

    def last_finished(self, interval: str) -> datetime:
        return self.now

    def klines(self, currency: str, interval: str, start: datetime, end: datetime) -> Iterator[pl.DataFrame]:
        rows = self.rows.filter(
            pl.col("time").is_between(start, min(end, self.now), closed="left"), pl.col("currency") == currency
        )
        yield from rows.iter_slices(2)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def ingest(span: Span, exchange: FakeExchange | Exchange, lake: Lake) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fetch and store one span; returns its klines and gaps."""
    [block] = History(exchange).fetch([span], "1h", Silent())
    [gaps] = store_klines([block], "1h", lake)
    return block.rows, gaps


def gaps_of(lake: Lake) -> list[tuple[datetime, datetime, int]]:
    """Gaps since the listing, that nobody classed yet."""
    return lake.read(GAPS).filter(pl.col("kind").is_null()).select("time", "end", "missing").rows()


def kinds_of(lake: Lake) -> list[tuple[float, float, str | None]]:
    """First and last hour of every gap since `START`, and its kind."""
    rows = lake.read(GAPS).select("time", "end", "kind").rows()
    return [((first - START) / HOUR, (end - START) / HOUR, kind) for first, end, kind in rows]


def test_every_kline_is_stored_and_writing_twice_leaves_one_copy(lake: Lake) -> None:
    exchange = FakeExchange(make_klines(72), hours_after(72))
    for _ in range(2):
        rows, gaps = ingest(DAYS, exchange, lake)
        assert rows.height == 72 and gaps.is_empty()
        assert lake.read(KLINES).equals(exchange.rows)


def test_holes_are_gaps_and_nothing_before_the_listing_is(lake: Lake) -> None:
    rows = make_klines(60, start=hours_after(12), gaps=[(hours_after(20), hours_after(23))])
    exchange = FakeExchange(rows, hours_after(72))
    ingest(DAYS, exchange, lake)
    assert lake.read(KLINES).height == 57
    assert gaps_of(lake) == [(hours_after(20), hours_after(23), 3)]
    assert kinds_of(lake) == [(0, 12, "not_listed"), (20, 23, None)]


def test_a_currency_that_ends_early_leaves_a_gap_to_the_present(lake: Lake) -> None:
    exchange = FakeExchange(make_klines(30), hours_after(50))
    ingest(DAYS, exchange, lake)
    assert gaps_of(lake) == [(hours_after(30), hours_after(50), 20)]


def test_a_currency_never_listed_has_neither_rows_nor_gaps_but_that(lake: Lake) -> None:
    exchange = FakeExchange(make_klines(1).clear(), hours_after(50))
    rows, gaps = ingest(DAYS, exchange, lake)
    assert rows.is_empty() and gaps.is_empty()
    assert kinds_of(lake) == [(0, 50, "not_listed")], "and what is not over yet is not missing"


def test_ingesting_a_day_of_a_long_gap_again_tells_it_once_and_keeps_its_reason(lake: Lake) -> None:
    ingest(DAYS, FakeExchange(make_klines(10), hours_after(72)), lake)
    halted = lake.read(GAPS).with_columns(kind=pl.lit("halt"))
    lake.replace(GAPS, halted, start=None, end=None)
    second = Span("BTCUSDT", START + DAY, START + 2 * DAY)
    ingest(second, FakeExchange(make_klines(10), hours_after(72)), lake)
    assert kinds_of(lake) == [(10, 72, "halt")]
    ingest(second, FakeExchange(make_klines(48, gaps=[(hours_after(30), hours_after(31))]), hours_after(72)), lake)
    assert kinds_of(lake) == [(10, 24, "halt"), (30, 31, "halt"), (48, 72, "halt")]
    ingest(DAYS, FakeExchange(make_klines(60), hours_after(72)), lake)
    assert kinds_of(lake) == [(60, 72, "halt")]


def test_nothing_is_written_where_no_gap_is_and_none_was(lake: Lake) -> None:
    for _ in range(2):
        ingest(DAYS, FakeExchange(make_klines(72), hours_after(72)), lake)
    assert lake.version(GAPS) == "none"
    assert lake.version(KLINES) != "none"


def test_a_gap_filled_later_is_a_gap_no_more(lake: Lake) -> None:
    whole = make_klines(72)
    holed = whole.filter(pl.col("time") != hours_after(30))
    ingest(DAYS, FakeExchange(holed, hours_after(72)), lake)
    assert len(gaps_of(lake)) == 1
    ingest(DAYS, FakeExchange(whole, hours_after(72)), lake)
    assert gaps_of(lake) == []
    assert lake.read(KLINES).equals(whole)


def test_blocks_stored_together_leave_what_each_leaves_alone(lake: Lake) -> None:
    """One whole, one with a hole, one never listed; and one fetched when a day less was finished."""
    rows = [
        make_klines(72, currency="ADAUSDT"),
        make_klines(72, currency="BTCUSDT", gaps=[(hours_after(30), hours_after(33))]),
        make_klines(1, currency="ETHUSDT").clear(),
        make_klines(72, currency="XRPUSDT"),
    ]
    spans = [Span(name, START, START + 3 * DAY) for name in ("ADAUSDT", "BTCUSDT", "ETHUSDT", "XRPUSDT")]
    blocks = []
    for span, one, hours in zip(spans, rows, (72, 72, 72, 48), strict=True):
        blocks += History(FakeExchange(one, hours_after(hours))).fetch([span], "1h", Silent())
    together = store_klines(blocks, "1h", lake)
    alone = Lake(f"{lake._url}-alone")
    for block, gaps in zip(blocks, together, strict=True):
        assert store_klines([block], "1h", alone)[0].equals(gaps)
    assert lake.read(KLINES).equals(alone.read(KLINES))
    assert lake.read(GAPS).equals(alone.read(GAPS))
    assert [gaps.height for gaps in together] == [0, 1, 0, 0]
    assert lake.read(KLINES, currency="XRPUSDT").height == 48


def test_who_fetched_before_undoes_nothing_of_who_fetched_later(lake: Lake) -> None:
    """The later one stores first, in the midst of a gap that goes on."""
    exchange = FakeExchange(make_klines(72, gaps=[(hours_after(30), hours_after(60))]), hours_after(40))
    [early] = History(exchange).fetch([DAYS], "1h", Silent())
    ingest(DAYS, FakeExchange(exchange.rows, hours_after(70)), lake)
    rows, gaps = lake.read(KLINES), kinds_of(lake)
    store_klines([early], "1h", lake)
    assert lake.read(KLINES).equals(rows)
    assert kinds_of(lake) == gaps == [(30, 60, None)]


def test_gaps_written_in_between_are_kept(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run stores its gaps after this one has read them, and before it writes."""
    exchange = FakeExchange(make_klines(72, gaps=[(hours_after(30), hours_after(60))]), hours_after(40))
    [early] = History(exchange).fetch([DAYS], "1h", Silent())
    read, other = lake.read, Lake(lake._url)

    def read_and_wait(table: Table, **which: object) -> pl.DataFrame:
        rows = read(table, **which)
        monkeypatch.setattr(lake, "read", read)
        ingest(DAYS, FakeExchange(exchange.rows, hours_after(70)), other)
        return rows

    monkeypatch.setattr(lake, "read", read_and_wait)
    store_klines([early], "1h", lake)
    assert lake.read is read
    assert kinds_of(lake) == [(30, 60, None)]


def test_other_currencies_and_days_are_left_alone(lake: Lake) -> None:
    other = make_klines(96, currency="ETHUSDT")
    lake.replace(KLINES, other, start=None, end=None, currency="ETHUSDT")
    after = make_klines(24, start=START + 3 * DAY, seed=5)
    lake.replace(KLINES, after, start=START + 3 * DAY, end=None, currency="BTCUSDT")
    rows, _ = ingest(DAYS, FakeExchange(make_klines(72), hours_after(96)), lake)
    assert lake.read(KLINES, currency="ETHUSDT").equals(other)
    assert lake.read(KLINES, currency="BTCUSDT").equals(pl.concat([rows, after]))


def test_the_unfinished_kline_is_never_stored(lake: Lake, make_exchange: Callable[..., str]) -> None:
    market = make_market({"BTCUSDT": make_series(48, interval="1h")}, interval="1h")
    first = datetime.fromtimestamp(START_MS / 1000, START.tzinfo)
    day = Span("BTCUSDT", first, first + DAY)
    half_past_ten = make_exchange(market, clock=fixed_clock(START_MS + 10 * HOUR_MS + HOUR_MS // 2))
    rows, gaps = ingest(day, Exchange(half_past_ten), lake)
    assert rows["time"].max() == first + 9 * HOUR
    assert lake.read(KLINES).height == 10
    assert gaps.is_empty(), "what is not over yet is not missing"
    next_day = make_exchange(market, clock=fixed_clock(to_ms(first + DAY)))
    ingest(day, Exchange(next_day), lake)
    assert lake.read(KLINES)["time"].to_list() == [first + hour * HOUR for hour in range(24)]


def test_the_asset_materializes_partitions_and_tells_of_each(lake: Lake, tmp_path: Path) -> None:
    settings = Settings.load(
        home=tmp_path, interval="1h", partition="day", currencies="BTCUSDT,ETHUSDT", start_day="2024-01-01"
    )
    exchange = FakeExchange(make_klines(72, gaps=[(hours_after(30), hours_after(32))]), hours_after(72))
    result = dg.materialize(
        market_data_assets(Partitions(settings)),
        partition_key="BTCUSDT|2024-01-02",
        resources={"history": History(exchange), "store": lake, "progress": Silent()},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    (event,) = result.asset_materializations_for_node("klines")
    assert event.partition == "BTCUSDT|2024-01-02"
    assert event.metadata["dagster/row_count"].value == 22
    assert event.metadata["missing_klines"].value == 2
    assert event.metadata["source"].value == "replay of a test"
    assert lake.read(KLINES)["time"].min() == START + DAY
    assert lake.read(KLINES).height == 22

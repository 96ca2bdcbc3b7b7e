"""History of currencies that are no more: nothing is asked for after an end, and archives remember the forgotten."""

from __future__ import annotations

import polars as pl
import pytest

from cryptobot_assets.assets.market_data import store_klines
from cryptobot_assets.domain.sources import Source, Span
from cryptobot_assets.errors import ExchangeError
from cryptobot_assets.progress import Silent
from cryptobot_assets.storage.archive import Archive
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.history import Fetched, History, Life
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.storage.universes import DAYS, LIVES, clock_at, hour, make_universe

ENDED = LIVES["ENDUSDT"][0][1]


class CountedArchive(Archive):
    """An archive that remembers what was asked of it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[Source] = []

    def read(self, currency: str, interval: str, source: Source) -> pl.DataFrame:
        self.asked.append(source)
        return super().read(currency, interval, source)


def fetch(history: History, currency: str, first: float, end: float, life: Life | None = None) -> Fetched:
    lives = {currency: life} if life else None
    (one,) = history.fetch([Span(currency, hour(first), hour(end))], "1h", Silent(), lives)
    return one


def gaps_of(lake: Lake) -> list[tuple]:
    return lake.read(GAPS).select("time", "end", "kind").rows()


def test_nothing_is_asked_for_after_an_end_that_is_known(make_exchange: MakeExchange):
    url = make_exchange(make_universe())
    archive = CountedArchive(url)
    history = History(Exchange(url), archive)
    whole = fetch(history, "ENDUSDT", 0, 24 * DAYS, (hour(0), hour(ENDED)))
    assert whole.rows.height == ENDED
    assert [source.start.month for source in archive.asked] == [1, 2]
    assert (whole.start, whole.end, whole.delisted) == (hour(0), hour(24 * DAYS), hour(ENDED))
    after = fetch(history, "ENDUSDT", ENDED, 24 * DAYS, (hour(0), hour(ENDED)))
    assert after.rows.is_empty() and len(archive.asked) == 2
    unknown = fetch(history, "ENDUSDT", 0, 24 * DAYS)
    assert unknown.rows.equals(whole.rows) and unknown.delisted is None
    assert len(archive.asked) > 4, "months and days after the end, none of them published"


def test_what_follows_an_end_is_recorded_as_delisted_as_far_as_it_is_known(make_exchange: MakeExchange, lake: Lake):
    url = make_exchange(make_universe(), clock=clock_at(24 * 50))
    block = fetch(History(Exchange(url)), "ENDUSDT", 24 * 31, 24 * 60, (hour(0), hour(ENDED)))
    assert store_klines([block], "1h", lake)[0].is_empty(), "nothing is missing"
    assert gaps_of(lake) == [(hour(ENDED), hour(24 * 50), "delisted")]
    later = fetch(History(Exchange(url)), "ENDUSDT", 24 * 45, 24 * 48, (hour(0), hour(ENDED)))
    store_klines([later], "1h", lake)
    assert gaps_of(lake) == [(hour(ENDED), hour(24 * 50), "delisted")]


def test_an_end_that_was_none_loses_no_kline(make_exchange: MakeExchange, lake: Lake):
    url = make_exchange(make_universe())
    wrong = hour(24 * 40)
    block = fetch(History(Exchange(url), Archive(url)), "BTCUSDT", 24 * 31, 24 * 60, (hour(0), wrong))
    assert block.rows.height == 24 * 29 and block.delisted is None
    assert store_klines([block], "1h", lake)[0].is_empty() and gaps_of(lake) == []


def test_the_forgotten_are_read_from_archives_alone(make_exchange: MakeExchange, lake: Lake):
    url = make_exchange(make_universe())
    first, end = LIVES["GONEUSDT"][0]
    life = (hour(first), hour(end))
    history = History(Exchange(url), Archive(url))
    block = fetch(history, "GONEUSDT", 0, 24 * DAYS, life)
    assert block.rows["time"].to_list() == [hour(count) for count in range(first, end)]
    assert block.rows["source"].unique().to_list() == ["archive"]
    store_klines([block], "1h", lake)
    assert gaps_of(lake) == [
        (hour(0), hour(first), "not_listed"), (hour(end), hour(24 * DAYS), "delisted"),
    ]  # fmt: skip
    for without in (
        lambda: fetch(history, "GONEUSDT", 0, 24 * DAYS),
        lambda: fetch(History(Exchange(url)), "GONEUSDT", 0, 24 * DAYS, life),
    ):
        with pytest.raises(ExchangeError, match="Invalid symbol"):
            without()


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path / "lake"))

"""What the client of every exchange must pass, against a server that holds some finished hours.

A test class inherits `ExchangeContract` and gives the fixtures `exchange`, an `ExchangeClient`, and `currency`,
a symbol whose trading began at most a few days before the server's present. `interval` may be overridden.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from cryptobot_assets.domain.intervals import DAY, HOUR, day_start, floor_hour, interval_delta
from cryptobot_assets.domain.klines import KLINE_SCHEMA, require_klines
from cryptobot_assets.errors import ExchangeError
from cryptobot_assets.storage.exchange_client import ExchangeClient

FEWEST_HOURS = 30


class ExchangeContract:
    """One test each; `exchange` and `currency` come as fixtures from the suite that inherits."""

    @pytest.fixture
    def interval(self) -> str:
        """Of the klines that are read."""
        return "1h"

    @pytest.fixture
    def rows(self, exchange: ExchangeClient, currency: str, interval: str) -> pl.DataFrame:
        """Every kline of the currency."""
        first = exchange.first_time(currency, interval)
        assert first is not None, f"{currency} was never traded there"
        return self.read(exchange, currency, interval, first, exchange.server_time() + DAY)

    @staticmethod
    def read(exchange: ExchangeClient, currency: str, interval: str, start: datetime, end: datetime) -> pl.DataFrame:
        """All pages of `klines` as one frame."""
        pages = list(exchange.klines(currency, interval, start, end))
        assert all(page.height for page in pages), "a page without a kline"
        return pl.concat(pages) if pages else pl.DataFrame(schema=KLINE_SCHEMA)

    def test_its_clock_is_an_instant_in_utc(self, exchange: ExchangeClient, interval: str) -> None:
        now = exchange.server_time()
        assert now.utcoffset() == timedelta(0)
        finished = exchange.last_finished(interval)
        assert finished <= exchange.server_time() < finished + 2 * interval_delta(interval)

    def test_it_lists_the_currency(self, exchange: ExchangeClient, currency: str) -> None:
        listed = {one.name: one for one in exchange.symbols()}
        assert listed[currency].trading
        assert currency == f"{listed[currency].base}{listed[currency].quote}"
        assert currency.isalnum() and currency.isupper()

    def test_klines_keep_every_rule(self, rows: pl.DataFrame, currency: str, interval: str) -> None:
        assert rows.height >= FEWEST_HOURS, "give it a day and more to tell of"
        assert rows.schema == pl.Schema(KLINE_SCHEMA)
        assert rows["currency"].unique().to_list() == [currency]
        assert require_klines(rows, interval).equals(rows)
        assert all(one < other for one, other in pairwise(rows["time"])), "not in order, or twice"

    def test_trading_began_with_the_first_kline(
        self, exchange: ExchangeClient, currency: str, interval: str, rows: pl.DataFrame
    ) -> None:
        first = exchange.first_time(currency, interval)
        assert first == rows["time"][0]
        assert self.read(exchange, currency, interval, first - 5 * HOUR, first).is_empty()

    def test_the_unfinished_kline_is_never_given(
        self, exchange: ExchangeClient, interval: str, rows: pl.DataFrame
    ) -> None:
        assert rows["time"][-1] + interval_delta(interval) <= exchange.server_time()

    def test_ranges_hold_their_start_and_not_their_end(
        self, exchange: ExchangeClient, currency: str, interval: str, rows: pl.DataFrame
    ) -> None:
        start, end = rows["time"][4], rows["time"][9]
        part = self.read(exchange, currency, interval, start, end)
        assert part.equals(rows.filter(pl.col("time").is_between(start, end, closed="left")))
        assert self.read(exchange, currency, interval, start, start).is_empty()

    def test_days_close_as_their_last_kline_does(
        self, exchange: ExchangeClient, currency: str, rows: pl.DataFrame
    ) -> None:
        first, present = day_start(rows["time"][0].date()), floor_hour(exchange.server_time()).date()
        closes = rows.group_by(pl.col("time").dt.date().alias("day")).agg(pl.col("close").sort_by("time").last())
        told = exchange.daily_closes(currency, start=first, limit=1000)
        whole = {day: close for day, close in closes.iter_rows() if day < present}
        assert whole and {day: told.get(day) for day in whole} == pytest.approx(whole)
        assert set(exchange.daily_closes(currency, limit=1)) == {max(told)}
        assert set(exchange.daily_closes(currency, start=first, end=first + DAY, limit=9)) == {first.date()}

    def test_an_unknown_currency_is_refused(self, exchange: ExchangeClient, interval: str) -> None:
        now = exchange.server_time()
        with pytest.raises(ExchangeError):
            self.read(exchange, "NOSUCHTHINGUSDT", interval, now - DAY, now)

"""The exchange's REST market data, fetched politely.

Weight is counted as the exchange reports it and requests pause before the limit is reached, so
that 429 is the exception; faults, and what is asked again, are the business of `storage/http.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import polars as pl

from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.klines import KLINE_SCHEMA, require_klines
from cryptobot_assets.domain.sources import REST_PAGE_ROWS
from cryptobot_assets.errors import BadKlines, HomeConflict
from cryptobot_assets.storage.http import Http

WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
MARKET_HEADER = "X-Exchange-Market"
WEIGHT_SHARE = 0.9
"""Share of the minute's weight used before pausing to the next minute."""

Row = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
_ROWS = msgspec.json.Decoder(list[Row])


class _Clock(msgspec.Struct):
    serverTime: int


class _Listed(msgspec.Struct):
    symbol: str
    quoteAsset: str
    status: str


class _Limit(msgspec.Struct):
    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int


class _Listing(msgspec.Struct):
    symbols: list[_Listed]
    rateLimits: list[_Limit] = []


_CLOCK = msgspec.json.Decoder(_Clock)
_LISTING = msgspec.json.Decoder(_Listing)


@dataclass(frozen=True)
class Symbol:
    """One listed symbol."""

    name: str
    quote: str
    trading: bool


class Exchange:
    """A client of one exchange address; one per thread of work.

    Args:
        url: base address, for example https://data-api.binance.vision.
        timeout_seconds: of connecting and of reading, each.
        retries: further tries after a fault that may pass.
        sleep: replaced in tests.
        expected_market: how the server must begin to describe its market, see `market`; empty for any.
            Anything else raises `HomeConflict`, so that two markets never meet in one store.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        retries: int = 6,
        sleep: Callable[[float], None] = time.sleep,
        expected_market: str = "",
    ) -> None:
        self._expected_market = expected_market
        self._http = Http(url, timeout_seconds=timeout_seconds, retries=retries, sleep=sleep, heard=self._heard)
        self.url = self._http.url
        self._sleep = sleep
        self._weight_limit: int | None = None
        self.market = ""
        """What the server says of its market (`simulated ...`, `replay ...`); empty for the real exchange."""

    def server_time(self) -> datetime:
        """The exchange's clock: klines that end after it are unfinished."""
        answer = self._http.get("/api/v3/time", {}, decode=_CLOCK.decode)
        return datetime.fromtimestamp(answer.serverTime / 1000, UTC)

    def last_finished(self, interval: str) -> datetime:
        """First open time that is not finished yet: klines before it may be stored."""
        step = interval_delta(interval)
        return datetime.fromtimestamp(
            self.server_time().timestamp() // step.total_seconds() * step.total_seconds(), UTC
        )

    def symbols(self) -> list[Symbol]:
        """Every symbol the exchange lists; reads the weight limit on the way."""
        answer = self._http.get("/api/v3/exchangeInfo", {}, decode=_LISTING.decode)
        for limit in answer.rateLimits:
            if limit.rateLimitType == "REQUEST_WEIGHT" and limit.interval == "MINUTE":
                self._weight_limit = limit.limit // limit.intervalNum
        return [Symbol(one.symbol, one.quoteAsset, one.status == "TRADING") for one in answer.symbols]

    def first_time(self, currency: str, interval: str) -> datetime | None:
        """Open time of the first kline ever: when trading began."""
        rows = self._page(currency, interval, 0, None, limit=1)
        return datetime.fromtimestamp(rows[0][0] / 1000, UTC) if rows else None

    def klines(self, currency: str, interval: str, start: datetime, end: datetime) -> Iterator[pl.DataFrame]:
        """Finished klines with time in [start, end), a page of up to 1,000 at a time, in order.

        What the exchange never recorded is absent. The unfinished kline is left out.

        Raises:
            BadKlines: the exchange sent rows that break the kline contract, or others than were asked for.
            ExchangeError and below: see the module.
        """
        if self._weight_limit is None:
            self.symbols()
        step = interval_delta(interval)
        stop = min(end, self.last_finished(interval))
        cursor = start
        while cursor < stop:
            first, last = _milliseconds(cursor), _milliseconds(stop) - 1
            rows = self._page(currency, interval, first, last, limit=REST_PAGE_ROWS)
            if not rows:
                return
            _require_order(currency, rows, first, last)
            page = self._to_frame(currency, interval, rows)
            yield page
            cursor = page["time"][-1] + step
            if len(rows) < REST_PAGE_ROWS:
                return

    def _page(self, currency: str, interval: str, start: int, end: int | None, *, limit: int) -> list[Row]:
        query = {"symbol": currency, "interval": interval, "startTime": start, "limit": limit}
        if end is not None:
            query["endTime"] = end
        return self._http.get("/api/v3/klines", query, decode=_ROWS.decode)

    def _to_frame(self, currency: str, interval: str, rows: list[Row]) -> pl.DataFrame:
        opened, opens, highs, lows, closes, volumes, _, quotes, trades, *_ = zip(*rows, strict=True)
        numbers = {"open": opens, "high": highs, "low": lows, "close": closes, "volume": volumes}
        frame = pl.DataFrame(
            {"time": opened, **numbers, "quote_volume": quotes, "trades": trades},
            schema_overrides={"time": pl.Int64, "trades": pl.Int64},
        )
        try:
            typed = frame.with_columns(
                pl.from_epoch("time", time_unit="ms").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
                pl.col(*numbers, "quote_volume").cast(pl.Float64),
                currency=pl.lit(currency),
                source=pl.lit("replay" if self.market.startswith("replay") else "rest"),
            )
        except pl.exceptions.InvalidOperationError as error:
            raise BadKlines(f"the exchange sent a price of {currency} that is no number") from error
        return require_klines(typed.select(list(KLINE_SCHEMA)), interval)

    def _heard(self, headers: Mapping[str, str]) -> None:
        self.market = headers.get(MARKET_HEADER, "")
        if not self.market.startswith(self._expected_market):
            raise HomeConflict(
                f"the home holds a {self._expected_market} market and {self.url} serves another: "
                "set CRYPTOBOT_HOME to another directory, or CRYPTOBOT_EXCHANGE_URL to that market's address"
            )
        self._keep_under_limit(int(headers.get(WEIGHT_HEADER, "0")))

    def _keep_under_limit(self, used: int) -> None:
        if self._weight_limit is not None and used >= WEIGHT_SHARE * self._weight_limit:
            self._sleep(60.0 - time.time() % 60.0 + 0.1)


def _require_order(currency: str, rows: list[Row], first: int, last: int) -> None:
    opened = [row[0] for row in rows]
    if opened[0] < first or opened[-1] > last or any(later <= one for one, later in pairwise(opened)):
        raise BadKlines(f"the exchange sent klines of {currency} out of order, twice, or outside the range asked for")


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

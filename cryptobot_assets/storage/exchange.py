"""The exchange's REST market data, fetched politely.

Requests are counted before they are sent, in one budget with every other process of the machine
(`storage/weight.py`), so that 429 is the exception; faults, and what is asked again, are the business of
`storage/http.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
import polars as pl

from cryptobot_assets.domain.gaps import find_gaps
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.klines import KLINE_SCHEMA, require_klines
from cryptobot_assets.domain.sources import REST_PAGE_ROWS
from cryptobot_assets.errors import BadKlines, ExchangeError
from cryptobot_assets.storage.exchange_client import ExchangeClient, Symbol
from cryptobot_assets.storage.weight import answer_time

WEIGHTS = {"/api/v3/klines": 2, "/api/v3/exchangeInfo": 20, "/api/v3/time": 1}
"""Request weight of each path we ask."""

PAGE_TRIES = 3
"""How often a page is asked for whose rows cannot be believed."""

ASKED_FOR_NOTHING = 2
"""How often the exchange must say that it has no kline before that is believed."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
DATE_GRAIN = timedelta(milliseconds=999)
"""How much later than its `Date`, which counts whole seconds, an answer may have been given."""

CLOCKS_APART = timedelta(seconds=2)

_LOG = logging.getLogger(__name__)

Row = tuple[int, str, str, str, str, str, int, str, int, str, str, str]
Answer = TypeVar("Answer")
_ROWS = msgspec.json.Decoder(list[Row])


class _Clock(msgspec.Struct):
    serverTime: int


class _Listed(msgspec.Struct):
    symbol: str
    baseAsset: str
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


class Exchange(ExchangeClient):
    """A client of Binance spot, or of whoever speaks as it does."""

    def server_time(self) -> datetime:
        """The exchange's clock: klines that end after it are unfinished. The machine's own is never asked.

        The exchange shows it twice, in the answer and in the answer's `Date`, whole seconds; the earlier one
        is believed, since an unfinished kline taken for a finished one would be stored for good.
        """
        answer = self._get("/api/v3/time", {}, _CLOCK.decode)
        shown = datetime.fromtimestamp(answer.serverTime / 1000, UTC)
        dated = answer_time(self._headers)
        if dated is None:
            return shown
        if shown - dated > CLOCKS_APART:
            _LOG.warning("%s shows %s in an answer of %s: the earlier is believed", self.url, shown, dated)
        return min(shown, dated + DATE_GRAIN)

    def symbols(self) -> list[Symbol]:
        """Every symbol the exchange lists; reads its limits on the way."""
        answer = self._listing({})
        return [Symbol(one.symbol, one.baseAsset, one.quoteAsset, one.status == "TRADING") for one in answer.symbols]

    def first_time(self, currency: str, interval: str) -> datetime | None:
        """Open time of the first kline ever: when trading began; None only when the exchange says so twice."""
        self._know_limit(currency)
        for _ in range(ASKED_FOR_NOTHING):
            page = self._page(currency, interval, BEGINNING, limit=1)
            if page.height:
                began: datetime = page["time"][0]
                return began
        return None

    def klines(self, currency: str, interval: str, start: datetime, end: datetime) -> Iterator[pl.DataFrame]:
        """Finished klines with time in [start, end), a page of up to 1,000 at a time, in order.

        What the exchange never recorded is absent: what an answer lacks is asked for once more, and again
        for as long as that brings something, before that is believed. The unfinished kline is left out.

        Raises:
            BadKlines: the exchange keeps sending rows that break the kline contract, or others than were
                asked for.
            ExchangeError and below: see `storage/http.py`.
        """
        self._know_limit(currency)
        stop = min(end, self.last_finished(interval))
        while start < stop:
            for _ in range(ASKED_FOR_NOTHING):
                page = self._page(currency, interval, start, stop)
                if page.height:
                    break
            else:
                return
            yield self._completed(page, currency, interval, start)
            start = page["time"][-1] + interval_delta(interval)

    def _completed(self, page: pl.DataFrame, currency: str, interval: str, start: datetime) -> pl.DataFrame:
        """A page that was to begin at `start`, with what else there is inside it.

        Its holes are asked for, and those that remain again for as long as that brings something.
        """
        step = interval_delta(interval)
        end = page["time"][-1] + step
        held = 0
        while held < page.height < (end - start) // step:
            held = page.height
            holes = find_gaps(currency, page["time"], interval, start, end).select("time", "end").rows()
            spans = _join_near(holes, REST_PAGE_ROWS * step)
            found = [self._page(currency, interval, *span) for span in spans]
            page = pl.concat([page, *found]).unique("time", keep="first").sort("time")
        return page

    def _page(
        self,
        currency: str,
        interval: str,
        start: datetime,
        stop: datetime | None = None,
        *,
        limit: int = REST_PAGE_ROWS,
    ) -> pl.DataFrame:
        """The first klines of [start, stop) in one answer; rows that cannot be are asked for again."""
        first, last = _milliseconds(start), None if stop is None else _milliseconds(stop) - 1
        for attempt in range(PAGE_TRIES):
            try:
                rows = self.rows(currency, interval, first=first, last=last, limit=limit)
                return self._to_frame(currency, interval, rows)
            except BadKlines:
                if attempt == PAGE_TRIES - 1:
                    raise
                self._sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def daily_closes(
        self, currency: str, *, start: datetime | None = None, end: datetime | None = None, limit: int
    ) -> dict[date, float]:
        """See `ExchangeClient.daily_closes`; an answer that cannot be is asked for again."""
        first = None if start is None else _milliseconds(start)
        last = None if end is None else _milliseconds(end) - 1
        for attempt in range(PAGE_TRIES):
            try:
                rows = self.rows(currency, "1d", first=first, last=last, limit=limit)
                return {datetime.fromtimestamp(row[0] / 1000, UTC).date(): float(row[4]) for row in rows}
            except BadKlines:
                if attempt == PAGE_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def rows(
        self, currency: str, interval: str, *, first: int | None = None, last: int | None = None, limit: int
    ) -> list[Row]:
        """One answer as it came: klines of any interval that open in [first, last] ms, the newest where first is None.

        Raises:
            BadKlines: they are not in order, or not of that range.
        """
        asked = {"symbol": currency, "interval": interval, "startTime": first, "limit": limit, "endTime": last}
        query = {name: value for name, value in asked.items() if value is not None}
        rows = self._get("/api/v3/klines", query, _ROWS.decode)
        _require_order(currency, rows, first or 0, last)
        return rows

    def _know_limit(self, currency: str) -> None:
        """Have the exchange tell its limits, once an hour and machine; about one symbol the answer is short."""
        if self._budget.knows_limit():
            return
        try:
            self._listing({"symbol": currency})
        except ExchangeError as error:
            if error.code is None:
                raise
            self._listing({})

    def _listing(self, query: Mapping[str, str]) -> _Listing:
        answer = self._get("/api/v3/exchangeInfo", query, _LISTING.decode)
        self._budget.learn(answer.rateLimits)
        return answer

    def _get(self, path: str, query: Mapping[str, Any], decode: Callable[[bytes], Answer]) -> Answer:
        return self._http.get(path, query, decode=decode, weight=WEIGHTS[path])

    def _to_frame(self, currency: str, interval: str, rows: list[Row]) -> pl.DataFrame:
        if not rows:
            return pl.DataFrame(schema=KLINE_SCHEMA)
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


def _require_order(currency: str, rows: list[Row], first: int, last: int | None) -> None:
    opened = [row[0] for row in rows]
    outside = opened and (opened[0] < first or (last is not None and opened[-1] > last))
    if outside or any(later <= one for one, later in pairwise(opened)):
        raise BadKlines(f"the exchange sent klines of {currency} out of order, twice, or outside the range asked for")


def _join_near(holes: list[tuple[datetime, datetime]], reach: timedelta) -> list[tuple[datetime, datetime]]:
    """Holes as spans to ask for: those that one page of length `reach` holds are one span."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in holes:
        if joined and end - joined[-1][0] <= reach:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

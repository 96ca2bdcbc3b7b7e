"""When every currency traded, from what the exchange and its archives tell of it; and where that is kept.

The exchange lists what trades and most of what no longer does; its klines of a day tell when each
one began, paused and ended. What it has forgotten altogether still has files in the archives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise

import polars as pl

from cryptobot_assets.domain.intervals import DAY, day_start, interval_delta
from cryptobot_assets.domain.universe import (
    FAR_FUTURE,
    Listing,
    Seen,
    keeps_to_one,
    kind_of_name,
    listed_before,
    trading_runs,
)
from cryptobot_assets.errors import BadKlines, ExchangeError, ExchangeUnreachable, RateLimited
from cryptobot_assets.settings import EVERY, Settings
from cryptobot_assets.storage.archive_index import ArchiveIndex
from cryptobot_assets.storage.exchange_client import ExchangeClient, Symbol
from cryptobot_assets.storage.store import LISTINGS, Store

QUOTE = "USDT"
PAGE_DAYS = 1000
RECENT_DAYS = 100
"""Days looked at of a currency whose listing is known: a pause among them is seen."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
SILENT_BEFORE_DELISTED = DAY
"""A maintenance stops all trading for hours; what has no kline for a day and does not trade has been delisted."""
THREADS = 4


@dataclass(frozen=True)
class Look:
    """What was seen of the universe, and what could not be."""

    seen: list[Seen]
    notes: list[str] = field(default_factory=list)


def read_listings(store: Store) -> list[Listing]:
    """Every listing that is stored, in order of position and time."""
    rows = store.read(LISTINGS).sort("position", "time")
    return [Listing(**row) for row in rows.iter_rows(named=True)]


def write_listings(store: Store, listings: Sequence[Listing]) -> None:
    """Store these listings instead of those there."""
    rows = pl.DataFrame([asdict(one) for one in listings], schema=LISTINGS.schema)
    store.replace(LISTINGS, rows, start=None, end=None)


def pooled_currencies(settings: Settings, store: Store, before: datetime | None = None) -> tuple[str, ...]:
    """Currencies that a pool holds and its models rank against each other, delisted ones included.

    Of a universe of `all` they are those of the kinds that the settings choose, listed before an instant
    where one is given: what is listed later has no row before it.
    """
    if settings.currencies != EVERY:
        return settings.currencies
    return listed_before(read_listings(store), before or FAR_FUTURE, settings.kinds)


def left_out(settings: Settings, store: Store) -> frozenset[str]:
    """Currencies of a universe of `all` that no pool holds: their kinds are not among those the settings choose."""
    if settings.currencies != EVERY:
        return frozenset()
    rows = read_listings(store)
    return frozenset(one.currency for one in rows) - {one.currency for one in rows if one.kind in settings.kinds}


class ListingSource:
    """Looks at an exchange and, where there is one, at the directory of its archives.

    Args:
        interval: of the klines whose first and last tell when a currency traded.
    """

    def __init__(self, exchange: ExchangeClient, index: ArchiveIndex | None, interval: str) -> None:
        self.exchange = exchange
        self._index = index
        self._interval = interval

    def look(self, held: Sequence[Listing], only: Collection[str] = ()) -> Look:
        """What can be seen now of every currency quoted in USDT, or of some.

        Currencies that are held as delisted and listed as not trading are not looked at again.

        Raises:
            ExchangeUnreachable, RateLimited: the REST API gave no answers. An archive directory that
                gives none is told in the notes, and what it alone would tell is left as it was held.
        """
        symbols = {one.name: one for one in self.exchange.symbols() if one.quote == QUOTE}
        forgotten, notes = self._forgotten(symbols, only)
        wanted = [name for name in (*symbols, *forgotten) if not only or name in only]
        own = {name: [one for one in held if one.currency == name] for name in wanted}
        gone = [one for one in held if one.end is None and one.currency not in symbols]
        for one in gone:
            if not only or one.currency in only:
                own[one.currency] = [row for row in held if row.currency == one.currency]
        bases = (
            {one.base for one in symbols.values()} | {one.base for one in held} | {_base(name) for name in forgotten}
        )
        one_look = _Look(self.exchange, self._index, self._interval, bases)
        looks = [(symbols.get(name), name, rows) for name, rows in own.items()]
        with ThreadPoolExecutor(THREADS, thread_name_prefix="listings") as pool:
            found = list(pool.map(lambda args: one_look.at(*args), looks))
        return Look([one for one, _ in found if one], [*notes, *(note for _, note in found if note)])

    def _forgotten(self, symbols: Mapping[str, Symbol], only: Collection[str]) -> tuple[list[str], list[str]]:
        """Currencies that have archives alone, and what is to be told of it."""
        if self._index is None:
            return [], []
        if only and all(name in symbols for name in only):
            return [], []
        try:
            archived = self._index.currencies()
        except ExchangeError as error:
            return [], [f"what only archives remember is left as it was: {error}"]
        return sorted(name for name in archived - set(symbols) if name.endswith(QUOTE) and _base(name)), []


class _Look:
    """One look: its clock, and the bases it knows."""

    def __init__(
        self, exchange: ExchangeClient, index: ArchiveIndex | None, interval: str, bases: Collection[str]
    ) -> None:
        self._exchange = exchange
        self._index = index
        self._interval = interval
        self._bases = bases
        self._now = exchange.server_time()

    def at(self, symbol: Symbol | None, currency: str, held: Sequence[Listing]) -> tuple[Seen | None, str | None]:
        """What is seen of one currency, None for nothing new; and a line where it could not be looked at."""
        if held and symbol and not symbol.trading and all(one.end is not None for one in held):
            return None, None
        try:
            return (self._listed(symbol, held) if symbol else self._archived(currency, held)), None
        except (ExchangeUnreachable, RateLimited):
            if symbol is None:
                return None, f"{currency}: the archive directory gave no answer; left as it was"
            raise
        except (BadKlines, ExchangeError) as error:
            return None, f"{currency}: {error}"

    def _listed(self, symbol: Symbol, held: Sequence[Listing]) -> Seen | None:
        closes = self._daily_closes(symbol.name, held)
        days = sorted(closes)
        runs = trading_runs(days)
        spans = []
        for first, last in runs:
            known = next((one.time for one in held if one.time.date() == first), None)
            begun_before = first == days[0] and _is_open(held)
            start = known or (day_start(first) if begun_before else self._edges(symbol.name, first)[0])
            newest = (first, last) == runs[-1]
            end = None if newest and symbol.trading else self._edges(symbol.name, last)[1]
            spans.append((start, None if newest and end and end + SILENT_BEFORE_DELISTED > self._now else end))
        return self._seen(symbol.name, symbol.base, spans, self._behaviour(closes, runs, held))

    def _archived(self, currency: str, held: Sequence[Listing]) -> Seen | None:
        """A currency that the exchange has forgotten: whole days, from file names."""
        days = self._index.days(currency, self._interval) if self._index else []
        spans = [(day_start(first), day_start(last) + DAY) for first, last in trading_runs(days)]
        open_since = next((one.time for one in held if one.end is None), None)
        if not spans and open_since is not None and self._index is None:
            spans = [(open_since, max(self._now, open_since + interval_delta(self._interval)))]
        return self._seen(currency, _base(currency), spans, None)

    def _seen(
        self, currency: str, base: str, spans: Iterable[tuple[datetime, datetime | None]], kind: str | None
    ) -> Seen | None:
        named = kind_of_name(base, self._bases)
        kind = named if named != "coin" else kind
        return Seen(currency=currency, base=base, quote=QUOTE, kind=kind, spans=tuple(spans))

    def _behaviour(
        self, closes: Mapping[date, float], runs: Sequence[tuple[date, date]], held: Sequence[Listing]
    ) -> str | None:
        """Kind by how the newest listing began, None where its first days are not at hand or not over."""
        if not runs or (held and not any(one.time.date() == runs[-1][0] for one in held)):
            return None
        finished = [closes[day] for day in sorted(closes) if runs[-1][0] <= day < self._now.date()]
        answer = keeps_to_one(finished)
        return None if answer is None else "stable" if answer else "coin"

    def _daily_closes(self, currency: str, held: Sequence[Listing]) -> dict[date, float]:
        """Close of every day that has a kline: the most recent ones, or those since it was last held as delisted."""
        if _is_open(held):
            return self._exchange.daily_closes(currency, limit=RECENT_DAYS)
        closes: dict[date, float] = {}
        start = since = max((one.end for one in held if one.end), default=BEGINNING)
        # An answer may have lost rows on its way: nothing is taken for a hole or an end on the word of one.
        while page := self._span(currency, start, None) or self._span(currency, start, None):
            closes |= page
            start = day_start(max(page)) + DAY
        runs = trading_runs(sorted(closes))
        holes = [(day_start(last) + DAY, day_start(first)) for (_, last), (first, _) in pairwise(runs)]
        for first, last in [(since, day_start(runs[0][0])), *holes] if runs else []:
            closes |= self._span(currency, first, last)
        return closes

    def _span(self, currency: str, start: datetime, end: datetime | None) -> dict[date, float]:
        """Closes of the first days of [start, end) in one answer."""
        if end is not None and end <= start:
            return {}
        return self._exchange.daily_closes(currency, start=start, end=end, limit=PAGE_DAYS)

    def _edges(self, currency: str, day: date) -> tuple[datetime, datetime]:
        """First kline of a day that has some, and the instant just after its last."""
        start = day_start(day)
        times = [page["time"] for page in self._exchange.klines(currency, self._interval, start, start + DAY)]
        if not times:
            raise BadKlines(f"the exchange has a kline of the day {day} for {currency}, and none of {self._interval}")
        return times[0][0], times[-1][-1] + interval_delta(self._interval)


def _is_open(held: Sequence[Listing]) -> bool:
    return any(one.end is None for one in held)


def _base(currency: str) -> str:
    return currency.removesuffix(QUOTE)

"""Klines of any span of time: from the archives where they have them, else over REST.

Archive files are fetched and parsed a few ahead, in threads, across the months and currencies that
were asked for; REST is read by the caller's own thread, in order, so that one client keeps one
budget of request weight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from cryptobot_assets.domain.gaps import find_gaps
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.domain.sources import Source, Span, fall_back, join_rest, month_floor, plan_sources
from cryptobot_assets.errors import BadArchive, ExchangeError
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.archive import Archive
from cryptobot_assets.storage.exchange_client import ExchangeClient

THREADS = 3
SPANS_AHEAD = 2
UNKNOWN_SYMBOL = -1121

Life = tuple[datetime, datetime | None]
"""When a currency traded: from its first kline to just after its last, None while it trades."""


@dataclass(frozen=True)
class Fetched:
    """Every kline of a span that is to be had now.

    Attributes:
        span: what was asked for.
        start, end: the part of it that should be whole: from the currency's first kline ever to
            the newest finished one; empty (start = end) where there is none.
        rows: klines as `KLINE_SCHEMA`, sorted by time.
        fallbacks: one line for every archive file that had to be read elsewhere, and why.
        delisted: from when on the currency is known to have no more, None where it is not.
    """

    span: Span
    start: datetime
    end: datetime
    rows: pl.DataFrame
    fallbacks: list[str]
    delisted: datetime | None = None

    @property
    def traded_until(self) -> datetime:
        """End of the part in which the currency may have klines."""
        return self.end if self.delisted is None else max(self.start, min(self.end, self.delisted))


@dataclass(frozen=True)
class _Reading:
    """A span whose archive files are being read."""

    span: Span
    start: datetime
    end: datetime
    sources: list[Source]
    files: dict[Source, Future[pl.DataFrame]]
    known: datetime
    delisted: datetime | None


class History:
    """Reads klines from an exchange and, where it has one, from its archive."""

    def __init__(self, exchange: ExchangeClient, archive: Archive | None = None) -> None:
        self.exchange = exchange
        self.archive = archive

    @property
    def title(self) -> str:
        """Where klines come from, for people."""
        rest = self.exchange.market or "the exchange's REST API"
        return f"archives at {self.archive.url}, else {rest}" if self.archive else rest

    def fetch(
        self, spans: Iterable[Span], interval: str, progress: Progress, lives: Mapping[str, Life] | None = None
    ) -> Generator[Fetched]:
        """Each span's klines, in order; nothing that the exchange's clock had not finished at the first span.

        Args:
            lives: when currencies traded, as far as it is known: nothing is asked for after an end, and a
                currency that the exchange has forgotten is read from archives alone.

        Raises:
            BadKlines: the REST API sent rows that break the kline contract.
            ExchangeError and below: the REST API refused or did not answer.
        """
        call = _Call(self.exchange, self.archive, interval, progress, lives or {})
        ahead: deque[_Reading] = deque()
        try:
            for span in spans:
                ahead.append(call.begin(span))
                if len(ahead) > SPANS_AHEAD:
                    yield call.complete(ahead.popleft())
            while ahead:
                yield call.complete(ahead.popleft())
        finally:
            call.close()


class _Call:
    """One call of `History.fetch`: its clock, its threads, and what it knows of each currency."""

    def __init__(
        self,
        exchange: ExchangeClient,
        archive: Archive | None,
        interval: str,
        progress: Progress,
        lives: Mapping[str, Life],
    ) -> None:
        self._exchange = exchange
        self._archive = archive
        self._interval = interval
        self._progress = progress
        self._lives = lives
        self._forgotten: set[str] = set()
        self._now = exchange.server_time()
        self._finished = exchange.last_finished(interval)
        self._listed: dict[str, datetime | None] = {}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="archive")

    def close(self) -> None:
        """Start no further file; those being read end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def begin(self, span: Span) -> _Reading:
        """Plan a span and start reading its files."""
        if span.currency not in self._listed:
            self._listed[span.currency] = self._first_time(span.currency)
        listed = self._listed[span.currency]
        _, ended = self._lives.get(span.currency, (None, None))
        known = min(span.end, self._finished)
        end = min(known, ended or known)
        start = max(span.start, end if listed is None else listed)
        if start >= end:
            return _Reading(span, start, start, [], {}, start if ended is None else max(start, known), ended)
        sources = [Source("rest", start, end)]
        if self._archive is not None:
            # A month's and a day's file exist too where trading began or ended in the middle of it.
            first = max(span.start, month_floor(start))
            planned = plan_sources(first, known, self._interval, now=self._now)
            sources = [source for source in planned if source.end > start and source.start < end]
        return _Reading(span, start, end, sources, self._submit(span.currency, sources), known, ended)

    def _first_time(self, currency: str) -> datetime | None:
        """When trading began, None where it never did; what the exchange has forgotten began as its life says."""
        try:
            return self._exchange.first_time(currency, self._interval)
        except ExchangeError as error:
            if error.code != UNKNOWN_SYMBOL or self._archive is None or currency not in self._lives:
                raise
            self._forgotten.add(currency)
            return self._lives[currency][0]

    def complete(self, reading: _Reading) -> Fetched:
        """Wait for a span's files, and read over REST what they do not give."""
        currency, files = reading.span.currency, dict(reading.files)
        frames: list[pl.DataFrame] = []
        rest: list[Source] = []
        holes: list[Source] = []
        fallbacks: list[str] = []
        ahead = deque(reading.sources)
        while ahead:
            source = ahead.popleft()
            if source.kind == "rest":
                rest.append(source)
                continue
            try:
                rows = files[source].result()
            except BadArchive as error:
                instead = [one for one in fall_back(source) if one.end > reading.start and one.start < reading.end]
                fallbacks.append(f"{error}; read {'by the day' if source.kind == 'monthly' else 'over REST'} instead")
                files |= self._submit(currency, instead)
                ahead.extendleft(reversed(instead))
                continue
            frames.append(rows)
            holes += self._holes(rows, max(source.start, reading.start), min(source.end, reading.end))
            self._progress.advance("ingest", rows=rows.height, note=currency)
        frames += [page for source in join_rest(rest) for page in self._pages(currency, source)]
        healed = [page for hole in join_rest(holes) for page in self._pages(currency, hole)]
        if healed:
            lacked = sum(page.height for page in healed)
            fallbacks.append(
                f"{currency} from {healed[0]['time'][0]:%Y-%m-%d %H:%M}: {lacked} klines that archives lack"
            )
        if not frames:
            nothing = pl.DataFrame(schema=KLINE_SCHEMA)
            return Fetched(reading.span, reading.start, reading.known, nothing, fallbacks, reading.delisted)
        rows = pl.concat([*frames, *healed]).sort("time")
        start, last = min(reading.start, rows["time"][0]), rows["time"][-1]
        if reading.delisted is not None and last >= reading.delisted:
            # What was known of its end is known no more: there are klines after it.
            return Fetched(reading.span, start, last + interval_delta(self._interval), rows, fallbacks)
        return Fetched(reading.span, start, reading.known, rows, fallbacks, reading.delisted)

    def _holes(self, rows: pl.DataFrame, start: datetime, end: datetime) -> list[Source]:
        """What a file does not give of [start, end): outages, or klines that only REST has."""
        gaps = find_gaps(rows["currency"][0], rows["time"], self._interval, min(start, rows["time"][0]), end)
        return [Source("rest", *bounds) for bounds in gaps.select("time", "end").iter_rows()]

    def _submit(self, currency: str, sources: Iterable[Source]) -> dict[Source, Future[pl.DataFrame]]:
        archive, files = self._archive, [source for source in sources if source.kind != "rest"]
        if archive is None:
            return {}
        return {file: self._pool.submit(archive.read, currency, self._interval, file) for file in files}

    def _pages(self, currency: str, source: Source) -> Iterator[pl.DataFrame]:
        if currency in self._forgotten:
            return
        for page in self._exchange.klines(currency, self._interval, source.start, source.end):
            self._progress.advance("ingest", rows=page.height, note=currency)
            yield page

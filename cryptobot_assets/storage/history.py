"""Klines of any span of time: from the archives where they have them, else over REST.

Archive files are fetched and parsed a few ahead, in threads, across the months and currencies that
were asked for; REST is read by the caller's own thread, in order, so that one client keeps one
budget of request weight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from cryptobot_assets.domain.gaps import find_gaps
from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.domain.sources import Source, Span, fall_back, join_rest, month_floor, plan_sources
from cryptobot_assets.errors import BadArchive
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.archive import Archive
from cryptobot_assets.storage.exchange import Exchange

THREADS = 3
SPANS_AHEAD = 2


@dataclass(frozen=True)
class Fetched:
    """Every kline of a span that is to be had now.

    Attributes:
        span: what was asked for.
        start, end: the part of it that should be whole: from the currency's first kline ever to
            the newest finished one; empty (start = end) where there is none.
        rows: klines as `KLINE_SCHEMA`, sorted by time.
        fallbacks: one line for every archive file that had to be read elsewhere, and why.
    """

    span: Span
    start: datetime
    end: datetime
    rows: pl.DataFrame
    fallbacks: list[str]


@dataclass(frozen=True)
class _Reading:
    """A span whose archive files are being read."""

    span: Span
    start: datetime
    end: datetime
    sources: list[Source]
    files: dict[Source, Future[pl.DataFrame]]


class History:
    """Reads klines from an exchange and, where it has one, from its archive."""

    def __init__(self, exchange: Exchange, archive: Archive | None = None) -> None:
        self.exchange = exchange
        self.archive = archive

    @property
    def title(self) -> str:
        """Where klines come from, for people."""
        rest = self.exchange.market or "the exchange's REST API"
        return f"archives at {self.archive.url}, else {rest}" if self.archive else rest

    def fetch(self, spans: Iterable[Span], interval: str, progress: Progress) -> Iterator[Fetched]:
        """Each span's klines, in order; nothing that the exchange's clock had not finished at the first span.

        Raises:
            BadKlines: the REST API sent rows that break the kline contract.
            ExchangeError and below: the REST API refused or did not answer.
        """
        call = _Call(self.exchange, self.archive, interval, progress)
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

    def __init__(self, exchange: Exchange, archive: Archive | None, interval: str, progress: Progress) -> None:
        self._exchange = exchange
        self._archive = archive
        self._interval = interval
        self._progress = progress
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
            self._listed[span.currency] = self._exchange.first_time(span.currency, self._interval)
        listed = self._listed[span.currency]
        end = min(span.end, self._finished)
        start = max(span.start, end if listed is None else listed)
        if start >= end:
            return _Reading(span, start, start, [], {})
        sources = [Source("rest", start, end)]
        if self._archive is not None:
            # A month's and a day's file exist too where trading began in the middle of it.
            first = max(span.start, month_floor(start))
            planned = plan_sources(first, end, self._interval, now=self._now)
            sources = [source for source in planned if source.end > start]
        return _Reading(span, start, end, sources, self._submit(span.currency, sources))

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
                instead = [one for one in fall_back(source) if one.end > reading.start]
                fallbacks.append(f"{error}; read {'by the day' if source.kind == 'monthly' else 'over REST'} instead")
                files |= self._submit(currency, instead)
                ahead.extendleft(reversed(instead))
                continue
            frames.append(rows)
            holes += self._holes(rows, max(source.start, reading.start), source.end)
            self._progress.advance("ingest", rows=rows.height, note=currency)
        frames += [page for source in join_rest(rest) for page in self._pages(currency, source)]
        healed = [page for hole in join_rest(holes) for page in self._pages(currency, hole)]
        if healed:
            lacked = sum(page.height for page in healed)
            fallbacks.append(
                f"{currency} from {healed[0]['time'][0]:%Y-%m-%d %H:%M}: {lacked} klines that archives lack"
            )
        if not frames:
            return Fetched(reading.span, reading.start, reading.end, pl.DataFrame(schema=KLINE_SCHEMA), fallbacks)
        rows = pl.concat([*frames, *healed]).sort("time")
        return Fetched(reading.span, min(reading.start, rows["time"][0]), reading.end, rows, fallbacks)

    def _holes(self, rows: pl.DataFrame, start: datetime, end: datetime) -> list[Source]:
        """What a file does not give of [start, end): outages, or klines that only REST has."""
        gaps = find_gaps(rows["currency"][0], rows["time"], self._interval, min(start, rows["time"][0]), end)
        return [Source("rest", *bounds) for bounds in gaps.select("time", "end").iter_rows()]

    def _submit(self, currency: str, sources: Iterable[Source]) -> dict[Source, Future[pl.DataFrame]]:
        files = [source for source in sources if source.kind != "rest"]
        return {file: self._pool.submit(self._archive.read, currency, self._interval, file) for file in files}

    def _pages(self, currency: str, source: Source) -> Iterator[pl.DataFrame]:
        for page in self._exchange.klines(currency, self._interval, source.start, source.end):
            self._progress.advance("ingest", rows=page.height, note=currency)
            yield page

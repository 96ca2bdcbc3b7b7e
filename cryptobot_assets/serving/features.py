"""Live features: the newest stored row of a currency whose features are all known.

    ... row  row  row  gap  row(null)            newest row lacks a feature: the one before answers,
                  ^ the answer                   and the age of the reply says so

What was computed is held until the indicators change; whether they did is asked at most once a
second. Everything here may read the store, so callers on an event loop ask `ready` first and go
through a thread when it says no.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import polars as pl

from cryptobot_assets.domain.intervals import DAY, HOUR, interval_delta
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.errors import StoreError, UnknownCurrency
from cryptobot_assets.serving.replies import bad_request, iso, unavailable
from cryptobot_assets.serving.spans import SpanReader
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import INDICATORS, Store

CHECK_SECONDS = 1.0
SEARCHED = (timedelta(0), 2 * HOUR, 36 * DAY)
"""How far before the newest row a complete one is looked for, in widening steps."""

logger = logging.getLogger(__name__)

Features = tuple[str, ...]


@dataclass(frozen=True)
class FeatureRow:
    """One row with all its features: x is float64 (features,), usable from `known_at` on."""

    currency: str
    time: datetime
    known_at: datetime
    x: np.ndarray


@dataclass(frozen=True)
class CrossSection:
    """The rows of several currencies at one time: X is float64 (currencies, features)."""

    time: datetime
    known_at: datetime
    currencies: tuple[str, ...]
    X: np.ndarray


class FeatureSource(Protocol):
    """Where the service gets features from."""

    def ready(self, currency: str, features: Features) -> bool:
        """Whether `latest` of this currency would answer at once, without reading anything."""
        ...

    def latest(self, currency: str, features: Features, time: datetime | None = None) -> FeatureRow:
        """The newest complete row, or the row whose open time is `time` (UTC).

        Raises:
            UnknownCurrency: nothing is stored of it, nor is it configured.
            ApiError: 400 for a time without a complete row, 503 when no row is complete yet.
            StoreError: the store cannot be read, and nothing is held from before.
        """
        ...

    def cross_section(self, features: Features, currencies: Sequence[str] | None = None) -> CrossSection:
        """Rows at the newest common time, of the currencies given (None: those of the universe), sorted by currency.

        A currency takes part when its newest complete row is at most an hour older than the newest
        of all; the common time is the one within that hour at which most of them are complete,
        the newest of several.
        """
        ...


class StoreFeatureSource:
    """A `FeatureSource` over a store's indicators; safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        *,
        interval: str,
        expected: Sequence[str] = (),
        universe: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._interval = interval
        self._step = interval_delta(interval)
        self._expected = tuple(expected)
        self._universe = universe
        self._clock = clock
        self._lock = threading.RLock()
        self._checked = -CHECK_SECONDS
        self._version: str | None = None
        self._spans = SpanReader(store, clock)
        self._reader = self._make_reader()
        self._rows: dict[tuple[str, Features], FeatureRow] = {}
        self._sections: dict[tuple[Features, tuple[str, ...] | None], CrossSection] = {}

    def ready(self, currency: str, features: Features) -> bool:
        """See `FeatureSource.ready`."""
        return self._clock() - self._checked < CHECK_SECONDS and (currency, features) in self._rows

    def latest(self, currency: str, features: Features, time: datetime | None = None) -> FeatureRow:
        """See `FeatureSource.latest`."""
        held = self._rows.get((currency, features))
        if time is None and held is not None and self.ready(currency, features):
            return held
        with self._lock:
            self._refresh()
            if time is not None:
                return self._row_at(currency, features, time)
            row = self._newest_row(currency, features)
        if row is None:
            message = f"no row of {currency} has all the model's features yet; ingest more days"
            raise unavailable("no_data", message)
        return row

    def cross_section(self, features: Features, currencies: Sequence[str] | None = None) -> CrossSection:
        """See `FeatureSource.cross_section`."""
        key = (features, None if currencies is None else tuple(currencies))
        with self._lock:
            self._refresh()
            if key not in self._sections:
                self._sections[key] = self._cross(features, currencies)
            return self._sections[key]

    def _refresh(self) -> None:
        if self._clock() - self._checked < CHECK_SECONDS:
            return
        try:
            version = self._store.version(INDICATORS)
            if version != self._version:
                self._spans.refresh()
                self._rows, self._sections, self._version = {}, {}, version
                self._reader = self._make_reader()
        except StoreError as error:
            if self._version is None:
                raise
            logger.warning("answering from the features held: %s", error)
        self._checked = self._clock()

    def _span(self, currency: str) -> tuple[datetime, datetime]:
        if currency not in self._spans.spans and not self._spans.whole:
            self._spans.scan()
        spans = self._spans.spans
        if currency not in spans:
            if currency in self._expected:
                raise unavailable("no_data", f"no indicators of {currency} are stored yet; ingest some first")
            raise UnknownCurrency(currency, {*spans, *self._expected})
        return spans[currency]

    def _newest_row(self, currency: str, features: Features) -> FeatureRow | None:
        key = (currency, features)
        if key not in self._rows:
            _, newest = self._span(currency)
            for back in SEARCHED:
                samples = self._samples(currency, features, newest - back, newest)
                if len(samples):
                    self._rows[key] = self._row(samples, len(samples) - 1)
                    break
        return self._rows.get(key)

    def _row_at(self, currency: str, features: Features, time: datetime) -> FeatureRow:
        first, newest = self._span(currency)
        if (time.timestamp() / self._step.total_seconds()) % 1:
            raise bad_request("time_off_grid", f"'time' must be the open time of a {self._interval} row", field="time")
        available = f"stored: {iso(first)} to {iso(newest)}"
        if not first <= time <= newest:
            raise bad_request("no_such_row", f"no row of {currency} at {iso(time)}; {available}", field="time")
        samples = self._samples(currency, features, time, time)
        if not len(samples):
            message = f"no row of {currency} with all the model's features at {iso(time)}; {available}"
            raise bad_request("no_such_row", message, field="time")
        return self._row(samples, 0)

    def _cross(self, features: Features, currencies: Sequence[str] | None) -> CrossSection:
        rows = self._newest_rows(features, self._ranked() if currencies is None else currencies)
        newest = max(row.time for row in rows)
        rows = [row for row in rows if row.time >= newest - HOUR]
        if any(row.time != newest for row in rows):
            rows = self._rows_at_common_time(features, [row.currency for row in rows], newest)
        first = rows[0]
        names = tuple(row.currency for row in rows)
        return CrossSection(first.time, first.known_at, names, np.stack([row.x for row in rows]))

    def _ranked(self) -> list[str]:
        """What is stored of the universe; all that is stored where none of it is, or there is none."""
        universe = set(self._universe())
        stored = sorted(self._spans.spans)
        return [name for name in stored if name in universe] or stored

    def _newest_rows(self, features: Features, currencies: Sequence[str]) -> list[FeatureRow]:
        found = [self._newest_row(name, features) for name in currencies]
        rows = [row for row in found if row is not None]
        if not rows:
            raise unavailable("no_data", "no currency has a row with all the model's features yet; ingest more days")
        return rows

    def _rows_at_common_time(self, features: Features, currencies: Sequence[str], newest: datetime) -> list[FeatureRow]:
        recent = [self._samples(name, features, newest - HOUR, newest) for name in currencies]
        rows = [self._row(samples, index) for samples in recent for index in range(len(samples))]
        complete = Counter(row.time for row in rows)
        common = max(complete, key=lambda moment: (complete[moment], moment))
        return [row for row in rows if row.time == common]

    def _samples(self, currency: str, features: Features, first: datetime, last: datetime) -> Samples:
        """Complete rows with time in [first, last]."""
        return self._reader.read(features, (currency,), first, last + self._step, known_until=last + self._step)

    def _make_reader(self) -> SampleReader:
        """Ranks are among the universe; without one, among all that is stored."""
        return SampleReader(self._store, self._interval, self._universe() or sorted(self._spans.spans))

    def _row(self, samples: Samples, index: int) -> FeatureRow:
        moment = pl.Series(samples.time[index : index + 1]).dt.replace_time_zone("UTC")[0]
        return FeatureRow(str(samples.currency[index]), moment, moment + self._step, samples.X[index])

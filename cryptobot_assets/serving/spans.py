"""Which currencies have indicators, and from when to when.

Reading this of a long history takes a scan, so after a small change only the last day is read
again; a whole scan follows when a currency is missing, or a minute later at the latest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import polars as pl

from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.storage.store import INDICATORS, Store

SCAN_SECONDS = 60.0

Spans = dict[str, tuple[datetime, datetime]]


class SpanReader:
    """First and newest stored times by currency, read no more than needed."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._scanned: float | None = None
        self.spans: Spans = {}
        self.whole = False

    def refresh(self) -> None:
        """Bring the spans up to date after the table changed."""
        if not self.spans or self._scanned is None or self._clock() - self._scanned >= SCAN_SECONDS:
            self.scan()
            return
        newest = max(newest for _, newest in self.spans.values())
        tail = self._store.read(INDICATORS, start=newest - DAY, columns=["currency", "time"])
        recent = tail.group_by("currency").agg(pl.col("time").min().alias("first"), pl.col("time").max().alias("last"))
        for currency, first, last in recent.iter_rows():
            self.spans[currency] = (self.spans.get(currency, (first, last))[0], last)
        self.whole = False

    def scan(self) -> None:
        """Read the spans of every currency from all that is stored."""
        self.spans = self._store.spans(INDICATORS)
        self._scanned = self._clock()
        self.whole = True

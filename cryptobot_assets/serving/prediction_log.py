"""The log of served predictions: requests hand them over, a thread writes them to the spool.

    reply --record--> queue (bounded) --every 0.25 s--> spool file, fsynced --asset--> store

A request never waits for it: when the queue is full, what comes is dropped and counted. A stop
writes what is queued; a process killed outright loses what it was handed in the last moments.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.storage.served_spool import Served, SpoolFile

FLUSH_SECONDS = 0.25
MOST_QUEUED = 100_000
"""Predictions (entries of replies) that may wait to be written: some 50 MB."""
FILE_AGE = timedelta(seconds=30)
FILE_BYTES = 16_000_000
LAST_TRIES = 8
"""Writes tried at the stop, one a quarter of a second, before what is left is given up."""

logger = logging.getLogger(__name__)


class PredictionLog(Protocol):
    """Where replies are recorded."""

    def record(self, reply: Served) -> None:
        """Take a reply; returns at once."""
        ...


class NoLog:
    """A `PredictionLog` that forgets."""

    def record(self, reply: Served) -> None:
        """See `PredictionLog.record`."""


class SpoolLog:
    """A `PredictionLog` into files below `folder`; call `start` before and `stop` after."""

    def __init__(
        self,
        folder: Path,
        metrics: Metrics,
        *,
        most_queued: int = MOST_QUEUED,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder = folder
        self._metrics = metrics
        self._most_queued = most_queued
        self._now = now
        self._queue: deque[Served] = deque()
        self._queued = 0
        self._lock = threading.Lock()
        self._file: SpoolFile | None = None
        self._unwritten: list[Served] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="prediction log", daemon=True)

    def start(self) -> None:
        """Write from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, and end."""
        self._stopping.set()
        self._thread.join()

    def record(self, reply: Served) -> None:
        """See `PredictionLog.record`."""
        size = max(1, len(reply.entries))
        with self._lock:
            if self._queued + size > self._most_queued:
                self._metrics.log_dropped(size)
                return
            self._queued += size
            self._queue.append(reply)

    def _write_on(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            self.flush()
        for _ in range(LAST_TRIES):
            if self.flush():
                break
            threading.Event().wait(FLUSH_SECONDS)
        if self._unwritten:
            self._metrics.log_dropped(_entries(self._unwritten))
            logger.error("%d served predictions could not be written and are lost", _entries(self._unwritten))
        self._close()

    def flush(self) -> bool:
        """Write what is queued; False when the disk refuses it, and then it is kept to be tried again."""
        with self._lock:
            self._unwritten += self._queue
            self._queue.clear()
        written = _entries(self._unwritten)
        try:
            if self._unwritten:
                self._open().append(self._unwritten)
                self._metrics.log_written(written)
        except OSError as error:
            logger.error("the log of served predictions cannot be written below %s: %s", self._folder, error.strerror)
            self._metrics.log_failed()
            self._metrics.log_queued(self._queued)
            self._close()
            return False
        self._unwritten = []
        with self._lock:
            self._queued -= written
        self._metrics.log_queued(self._queued)
        if self._file and (self._now() - self._file.opened_at > FILE_AGE or self._file.size > FILE_BYTES):
            self._close()
        return True

    def _open(self) -> SpoolFile:
        if self._file is None:
            self._file = SpoolFile(self._folder, self._now())
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _entries(replies: list[Served]) -> int:
    return sum(max(1, len(reply.entries)) for reply in replies)

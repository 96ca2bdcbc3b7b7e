"""Scoring in shadow: what the model that did not answer would have said, beside the reply's path.

A thread takes the work one by one from a bounded queue. When there is too much of it, requests go
without a shadow, which is counted; nobody waits.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptobot_assets.serving.metrics import Metrics

MOST_WAITING = 1_000
MOST_ROWS = 50_000
"""Feature rows that may wait: some 15 MB."""
STOP_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShadowWork:
    """Scoring to do, and how many feature rows it keeps in memory; `run` tells whether it could score."""

    run: Callable[[], bool]
    rows: int = 1


class Shadow(Protocol):
    """What scores requests that another model answered."""

    def take(self, work: ShadowWork) -> None:
        """Take work; returns at once."""
        ...


class NoShadow:
    """A `Shadow` that does nothing."""

    def take(self, work: ShadowWork) -> None:
        """See `Shadow.take`."""


class ShadowThread:
    """A `Shadow` with a thread of its own; call `start` before and `stop` after."""

    def __init__(self, metrics: Metrics, *, most_waiting: int = MOST_WAITING, most_rows: int = MOST_ROWS) -> None:
        self._metrics = metrics
        self._most_rows = most_rows
        self._rows = 0
        self._lock = threading.Lock()
        self._waiting: queue.Queue[ShadowWork] = queue.Queue(most_waiting)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._score_on, name="shadow", daemon=True)

    def start(self) -> None:
        """Score from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Score what waits, for some seconds at most, and end."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def take(self, work: ShadowWork) -> None:
        """See `Shadow.take`."""
        with self._lock:
            fits = self._rows + work.rows <= self._most_rows and not self._waiting.full()
            if fits:
                self._rows += work.rows
                self._waiting.put_nowait(work)
        if not fits:
            self._metrics.shadowed("dropped")

    def _score_on(self) -> None:
        while True:
            try:
                work = self._waiting.get(timeout=0.1)
            except queue.Empty:
                if self._stopping.is_set():
                    return
                continue
            self._score(work)
            with self._lock:
                self._rows -= work.rows

    def _score(self, work: ShadowWork) -> None:
        try:
            self._metrics.shadowed("scored" if work.run() else "skipped")
        except Exception as error:  # noqa: BLE001 a shadow that fails must cost nobody a reply, nor the thread its life
            logger.warning("a request went without its shadow: %s: %s", type(error).__name__, error)
            self._metrics.shadowed("failed")

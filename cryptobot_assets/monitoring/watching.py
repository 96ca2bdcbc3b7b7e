"""Reading slow sources in the background, so that a scrape answers from memory.

Each source has a thread of its own: one that hangs or fails shows as `cryptobot_source_up 0`, its
figures are withheld (what is not known is not told), and the others go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cryptobot_assets.monitoring.families import Figure

PATIENCE_READINGS = 4
LEAST_PATIENCE_SECONDS = 120.0
"""A source whose last reading is older than both is down: the next one hangs."""
STOP_SECONDS = 5.0

Read = Callable[[], Iterable[Figure]]
Open = Callable[[], Read]
"""Connects to a source; called in the source's thread, and again after a reading that failed."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """What a source gave: `figures` is None where it failed. `at` is Unix time, when it ended."""

    figures: tuple[Figure, ...] | None
    seconds: float
    at: float


class Watcher:
    """Reads every source each `every_seconds`; call `start` before and `stop` after."""

    def __init__(
        self, sources: Mapping[str, Open], *, every_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._sources = dict(sources)
        self._every_seconds = every_seconds
        self._clock = clock
        self._readings: dict[str, Reading] = {}
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._read_on, args=(name,), name=f"watch {name}", daemon=True)
            for name in self._sources
        ]

    def start(self) -> None:
        """Read from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; a source that hangs is left to end with the process."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_SECONDS)

    def figures(self) -> list[Figure]:
        """What is known now."""
        found: list[Figure] = []
        oldest = self._clock() - max(PATIENCE_READINGS * self._every_seconds, LEAST_PATIENCE_SECONDS)
        for name in self._sources:
            reading, labels = self._readings.get(name), {"source": name}
            figures = reading.figures if reading is not None and reading.at >= oldest else None
            found.append(Figure("cryptobot_source_up", 0 if figures is None else 1, labels))
            if reading is not None:
                found.append(Figure("cryptobot_source_read_seconds", reading.seconds, labels))
                found.append(Figure("cryptobot_source_read_timestamp_seconds", reading.at, labels))
            found += figures or ()
        return found

    def read_all(self) -> list[Figure]:
        """Read every source now, one after the other, and tell what is known then."""
        for name in self._sources:
            self._read_once(name, None)
        return self.figures()

    def _read_on(self, name: str) -> None:
        read: Read | None = None
        while not self._stopping.is_set():
            read = self._read_once(name, read)
            self._stopping.wait(self._every_seconds)

    def _read_once(self, name: str, read: Read | None) -> Read | None:
        """Read a source, opening it first where that is to be done; returns what to read it by next time."""
        started, figures = time.monotonic(), None
        try:
            read = read or self._sources[name]()
            figures = tuple(read())
        except Exception as error:  # noqa: BLE001 the thread must outlive whatever a source's client raises
            read = None
            if self._was_well(name):
                logger.warning("%s cannot be read: %s: %s", name, type(error).__name__, error)
        self._readings[name] = Reading(figures, time.monotonic() - started, self._clock())
        return read

    def _was_well(self, name: str) -> bool:
        before = self._readings.get(name)
        return before is None or before.figures is not None

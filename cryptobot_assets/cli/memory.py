"""Peak memory of this command and everything it started."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

SAMPLE_SECONDS = 0.5


class PeakMemory:
    """Samples resident memory of this process and all its descendants while the block runs.

    Memory that processes share (PostgreSQL's buffers) is counted once for each of them, so the
    figure errs on the high side.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._lately_mb = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def lately_mb(self) -> float:
        """The peak since this was last asked, what is held now included."""
        self._look()
        lately, self._lately_mb = self._lately_mb, 0.0
        return lately

    def _watch(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        now = _resident_mb(psutil.Process())
        self.peak_mb, self._lately_mb = max(self.peak_mb, now), max(self._lately_mb, now)


def _resident_mb(process: psutil.Process) -> float:
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20

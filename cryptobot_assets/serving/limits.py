"""How often each caller may ask, counted by all workers together.

A caller has one small file that says when its next request is due (the generic cell rate
algorithm). Requests may come early by as much as `BURST` of a minute's share, so that bursts pass.

    due  ----|-----|-----|-----|          one request pushes it on by 60 s / limit
    now ---------> a request is refused while due - now is more than the burst allows
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

MINUTE = 60.0
BURST = 0.25
"""Share of a minute's requests that may come at once."""

_DUE = struct.Struct("<d")


class RateLimit:
    """At most `per_minute` requests a minute of each caller."""

    def __init__(self, folder: Path, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._per_minute = per_minute
        self._clock = clock
        self._files: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def wait_seconds(self, caller: str) -> float:
        """0 for a request that may pass, which is then counted; else how long to wait."""
        step = MINUTE / self._per_minute
        early = max(BURST * MINUTE, step) - step
        handle = self._handle(caller)
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            now = self._clock()
            held = os.pread(handle, _DUE.size, 0)
            due = _DUE.unpack(held)[0] if len(held) == _DUE.size else now
            if due - now > 2 * MINUTE:  # the clock began anew: the machine was started since
                due = now
            if due - now > early:
                return due - now - early
            os.pwrite(handle, _DUE.pack(max(due, now) + step), 0)
            return 0.0
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)

    def _handle(self, caller: str) -> int:
        """The caller's file, opened once; callers are names of keys, so that there are few."""
        if caller not in self._files:
            name = hashlib.sha256(caller.encode()).hexdigest()[:32]
            self._files[caller] = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._files[caller]

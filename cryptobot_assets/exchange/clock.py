"""What time it is on the exchange: nothing later than it is ever served."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""The exchange's present in milliseconds since 1970 (UTC)."""


def fixed_clock(now_ms: int) -> Clock:
    """A clock that stands still."""
    return lambda: now_ms


def running_clock(start_ms: int, *, speed: float = 1.0, seconds: Callable[[], float] = time.monotonic) -> Clock:
    """A clock that shows `start_ms` now and moves on `speed` seconds for every real one."""
    origin = seconds()
    return lambda: start_ms + int((seconds() - origin) * speed * 1000)

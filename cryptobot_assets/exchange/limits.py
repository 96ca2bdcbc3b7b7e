"""Request weights, as the exchange counts them for each address and minute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

WEIGHT_PER_MINUTE = 6000
FIRST_BAN_SECONDS = 120
LONGEST_BAN_SECONDS = 3 * 24 * 3600


@dataclass(frozen=True)
class Spent:
    """What became of a request's weight.

    `status` is 200, 429 (slow down) or 418 (banned); `retry_after_seconds` how long to wait
    before the next request, `until_ms` that instant.
    """

    used: int
    status: int = 200
    retry_after_seconds: int = 0
    until_ms: int = 0


@dataclass
class _Address:
    minute: int = -1
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until: float = 0.0


class WeightLimiter:
    """Counts weight by address in whole minutes of real time.

    Over the limit a request is refused with 429. An address that is refused more than `patience`
    times within one minute is banned with 418: for 2 minutes, and twice as long every further
    time, up to 3 days. Requests during a ban neither count nor lengthen it.

    Args:
        per_minute: the limit.
        patience: refusals borne before a ban; clients with several connections get a few at once.
        seconds: real time in seconds since 1970.
    """

    def __init__(
        self, *, per_minute: int = WEIGHT_PER_MINUTE, patience: int = 20, seconds: Callable[[], float] = time.time
    ) -> None:
        self.per_minute = per_minute
        self._patience = patience
        self._seconds = seconds
        self._addresses: dict[str, _Address] = {}

    def spend(self, address: str, weight: int) -> Spent:
        """Count `weight` for `address` and say whether its request may be answered."""
        now = self._seconds()
        state = self._addresses.setdefault(address, _Address())
        if now < state.banned_until:
            return _refusal(state.used, 418, now, state.banned_until)
        minute = int(now // 60)
        if minute != state.minute:
            state.minute, state.used, state.refused = minute, 0, 0
        state.used += weight
        if state.used <= self.per_minute or not weight:
            return Spent(state.used)
        state.refused += 1
        if state.refused <= self._patience:
            return _refusal(state.used, 429, now, (minute + 1) * 60)
        state.banned_until = now + min(FIRST_BAN_SECONDS * 2**state.bans, LONGEST_BAN_SECONDS)
        state.bans += 1
        return _refusal(state.used, 418, now, state.banned_until)


def _refusal(used: int, status: int, now: float, until: float) -> Spent:
    return Spent(used, status, max(1, math.ceil(until - now)), int(until * 1000))

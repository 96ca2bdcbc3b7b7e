"""How much request weight one machine may still use at one exchange: arithmetic over instants, no clock, no disk.

Exchanges count the weight of an address in minutes of their own clock. Two rules keep a machine under that
limit whatever the clocks say:

- what this machine sends in any 65 seconds stays within its share, so no minute of anybody's clock can
  hold more, wherever it begins, requests still on their way included;
- what the exchange says that this address has used in its present minute, plus what was sent since, stays
  within the share of all, so whoever else uses the address is counted too.

Instants are seconds on a clock that only goes forward and that all processes of a machine share.
"""

from __future__ import annotations

import msgspec

WINDOW_SECONDS = 66
"""A minute, five seconds that a request may be on its way, and the second that weight is counted by."""

SHARE = 0.9
"""Share of the limit that is used; the rest is for what this machine cannot count."""

ASSUMED_LIMIT = 1200
"""Weight a minute until the exchange has told its limit: the least it ever granted."""

LIMIT_SECONDS = 3600.0
"""How long a limit is believed before it is asked for again."""

LONGEST_BLOCK_SECONDS = 3 * 24 * 3600.0
RENEWAL_SECONDS = 30.0
NEIGHBOUR_SECONDS = 120.0
"""How long a machine counts as reading after it last said so."""


class Account(msgspec.Struct):
    """What a machine knows of one exchange address.

    Attributes:
        client: this machine's name among those that read from the exchange.
        at: when this was last written.
        limit, limit_until: weight a minute that the exchange grants an address (0: not told), and until
            when that is believed.
        sent: weight sent by second, oldest first.
        told, told_minute, told_until: weight used by the address in a minute of the exchange's clock, as
            it said and with what was sent since; which minute; when that has surely ended.
        blocked_until, blocked_status: until when the exchange asked to wait, and with which HTTP status.
        machines, machines_until: how many share the limit, and until when that is believed.
        renewed_at: when this machine last told the others that it reads.
        ahead: the exchange's clock (seconds since 1970) less this one; None before its first answer.
    """

    client: str
    at: float = 0.0
    limit: int = 0
    limit_until: float = 0.0
    sent: list[tuple[int, int]] = []
    told: int = 0
    told_minute: int = -1
    told_until: float = 0.0
    blocked_until: float = 0.0
    blocked_status: int = 0
    machines: int = 1
    machines_until: float = 0.0
    renewed_at: float = -NEIGHBOUR_SECONDS
    ahead: float | None = None

    def wait(self, weight: int, now: float) -> float:
        """Seconds before a request of this weight may be sent; 0: it may be sent now.

        One heavier than the whole share goes alone.
        """
        self._forget(now)
        waits = [0.0, self.blocked_until - now]
        if weight:
            waits += [self._wait_for_share(weight, now), self._wait_for_minute(weight, now)]
        return max(waits)

    def take(self, weight: int, now: float) -> None:
        """Count a request that is sent now."""
        self._forget(now)
        second = int(now)
        if self.sent and self.sent[-1][0] == second:
            self.sent[-1] = (second, self.sent[-1][1] + weight)
        else:
            self.sent.append((second, weight))
        self.told += weight

    def hear(self, used: int, exchange_time: int | None, now: float) -> None:
        """The exchange said how much weight the address has used in the minute that its clock shows.

        `exchange_time` is that clock, whole seconds since 1970, None where the answer does not tell.
        """
        minute, until = -1, now + 60.0
        if exchange_time is not None:
            minute, until = exchange_time // 60, now + 60.0 - exchange_time % 60
            self.renewed_at = self.renewed_at if self.ahead is not None else -NEIGHBOUR_SECONDS
            self.ahead = exchange_time + 0.5 - now
        if now >= self.told_until or minute > self.told_minute:
            self.told, self.told_minute, self.told_until = used, minute, until
        elif minute == self.told_minute:
            self.told, self.told_until = max(self.told, used), min(self.told_until, until)

    def block(self, seconds: float, status: int, now: float) -> None:
        """The exchange asked to wait; the other machines are to hear of it."""
        self.blocked_until = max(self.blocked_until, now + min(seconds, LONGEST_BLOCK_SECONDS))
        self.blocked_status = status
        self.renewed_at = -NEIGHBOUR_SECONDS

    def heed(self, seconds: float, now: float) -> None:
        """Another machine was asked to wait so long; what this one knows already, give or take, changes nothing."""
        if now + seconds > max(self.blocked_until, now) + 2:
            self.blocked_until = now + min(seconds, LONGEST_BLOCK_SECONDS)
            self.blocked_status = 418

    def learn(self, limit: int, now: float) -> None:
        """The exchange said what it grants an address in a minute; 0: it did not say."""
        self.limit, self.limit_until = limit, now + LIMIT_SECONDS

    def share(self, machines: int, now: float) -> None:
        """So many machines read from the exchange now, this one included."""
        self.machines, self.machines_until = machines, now + NEIGHBOUR_SECONDS

    def is_idle(self, now: float) -> bool:
        """Whether nothing in it matters any more."""
        return now >= max(self.blocked_until, self.at + NEIGHBOUR_SECONDS)

    def _wait_for_share(self, weight: int, now: float) -> float:
        machines = self.machines if now < self.machines_until else 1
        room = self._usable / machines - weight
        used = sum(one for _, one in self.sent)
        wait = 0.0
        for second, one in self.sent:
            if used <= room:
                break
            wait = second + WINDOW_SECONDS - now
            used -= one
        return wait

    def _wait_for_minute(self, weight: int, now: float) -> float:
        fits = self.told + weight <= self._usable
        return 0.0 if fits else self.told_until - now

    @property
    def _usable(self) -> float:
        return SHARE * (self.limit or ASSUMED_LIMIT)

    def _forget(self, now: float) -> None:
        """Drop what was sent too long ago to count."""
        while self.sent and self.sent[0][0] + WINDOW_SECONDS <= now:
            del self.sent[0]

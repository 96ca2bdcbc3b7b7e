"""One budget of request weight for every process of this machine, and one memory of being told to wait.

Weight is reserved before a request is sent and set right by what the exchange answers, see
`storage/weight_account.py`; a wait that one process was asked for is obeyed by all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol

from cryptobot_assets.storage.weight_account import Account
from cryptobot_assets.storage.weight_file import AccountFile, boot_seconds

WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
UNIT_MINUTES = {"SECOND": 1 / 60, "MINUTE": 1.0, "HOUR": 60.0, "DAY": 1440.0}
LIMITS_THAT_COUNT = ("REQUEST_WEIGHT", "RAW_REQUESTS")


class Limit(Protocol):
    """One of the limits that `exchangeInfo` tells."""

    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int


class Neighbours(Protocol):
    """The other machines of a deployment; see `storage/weight_machines.py`."""

    def tend(self, file: AccountFile) -> None:
        """Tell them of this machine and hear of them, when it is time."""

    def hurry(self) -> None:
        """Make it time."""


@dataclass(frozen=True)
class Wait:
    """Why and how long a request must wait: `status` is what the exchange refused with, None for want of weight."""

    seconds: float
    status: int | None


class Budget:
    """The budget of one exchange address; every object made for that address on this machine shares it.

    Args:
        url: the address.
        directory: where this machine's processes meet; the user's own in memory by default.
        seconds: a clock that only goes forward and is the same for all of them.
        machines: those of the deployment, where it has several.
    """

    def __init__(
        self,
        url: str,
        *,
        directory: Path | None = None,
        seconds: Callable[[], float] = boot_seconds,
        machines: Neighbours | None = None,
    ) -> None:
        self.file = AccountFile(url, directory=directory, seconds=seconds)
        self._machines = machines

    def reserve(self, weight: int) -> Wait | None:
        """Count a request of this weight, which the caller then sends; or why it must wait and ask again."""
        if self._machines is not None:
            self._machines.tend(self.file)
        with self.file.held() as (account, now):
            seconds = account.wait(weight, now)
            if seconds > 0:
                return Wait(seconds, account.blocked_status if account.blocked_until > now else None)
            account.take(weight, now)
            return None

    def hear(self, headers: Mapping[str, str]) -> None:
        """Set the count right by an answer's headers, should they tell of weight."""
        used = headers.get(WEIGHT_HEADER, "")
        if used.isdecimal():
            told = answer_time(headers)
            with self.file.held() as (account, now):
                first = account.ahead is None
                account.hear(int(used), None if told is None else int(told.timestamp()), now)
            if first:
                self._hurry()

    def block(self, seconds: float, status: int) -> None:
        """No process of this machine may send another request for so long."""
        with self.file.held() as (account, now):
            account.block(seconds, status, now)
        self._hurry()

    def knows_limit(self) -> bool:
        """Whether the exchange has told its limit within the last hour."""
        with self.file.held() as (account, now):
            return now < account.limit_until

    def learn(self, limits: Iterable[Limit]) -> None:
        """Keep to the strictest of the limits told; a request weighs 1 or more, so a limit of requests is one too."""
        minutes = [
            one.limit / (one.intervalNum * UNIT_MINUTES[one.interval])
            for one in limits
            if one.rateLimitType in LIMITS_THAT_COUNT and one.interval in UNIT_MINUTES
        ]
        with self.file.held() as (account, now):
            account.learn(int(min(minutes, default=0)), now)

    def _hurry(self) -> None:
        if self._machines is not None:
            self._machines.hurry()

    def account(self) -> Account:
        """What is known now."""
        with self.file.held() as (account, _):
            return account


def answer_time(headers: Mapping[str, str]) -> datetime | None:
    """The server's clock as an answer's `Date` shows it, whole seconds; None where it does not."""
    return _http_date(headers.get("Date", ""))


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Seconds to wait as `Retry-After` asks, in seconds or until a date; 1 or more, 1 when it cannot be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return max(1.0, float(text))
    until = _http_date(text)
    now = answer_time(headers) or datetime.now(UTC)
    return 1.0 if until is None else max(1.0, (until - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

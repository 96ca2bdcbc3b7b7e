"""What every exchange gives, whoever runs it, and the client of the exchange at an address.

    https://data-api.binance.vision      Binance spot, or whoever speaks as it does
    name+https://api.example.com         the exchange `name`, which another package brings

A client of another exchange inherits `ExchangeClient` and passes the suite of `contracts/exchanges.py`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.errors import HomeConflict, UsageError
from cryptobot_assets.plugins import Catalogue
from cryptobot_assets.storage.http import Http
from cryptobot_assets.storage.weight import Budget

MARKET_HEADER = "X-Exchange-Market"


@dataclass(frozen=True)
class Symbol:
    """One listed symbol."""

    name: str
    base: str
    quote: str
    trading: bool


class ExchangeClient(ABC):
    """A client of one exchange address; one per thread of work.

    Its requests go through `_http`, which tries again what may pass and keeps to the budget of weight. What
    the exchange means raises `ExchangeError`, with its own code where it has one.

    Args:
        url: base address, for example https://data-api.binance.vision.
        timeout_seconds: how long the server may be silent; connecting may take 5 at most.
        retries: further tries after a fault that may pass.
        sleep: replaced in tests.
        expected_market: how the server must begin to describe its market, see `market`; empty for any.
            Anything else raises `HomeConflict`, so that two markets never meet in one store.
        budget: of request weight; by default the one that this machine's processes share for `url`.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        retries: int = 6,
        sleep: Callable[[float], None] = time.sleep,
        expected_market: str = "",
        budget: Budget | None = None,
    ) -> None:
        self._expected_market = expected_market
        self._http = Http(
            url, timeout_seconds=timeout_seconds, retries=retries, sleep=sleep, heard=self._heard, budget=budget
        )
        self.url = self._http.url
        self._budget = self._http.budget
        self._sleep = sleep
        self._headers: Mapping[str, str] = {}
        self.market = ""
        """What the server says of its market (`simulated ...`, `replay ...`); empty for a real exchange."""

    @abstractmethod
    def server_time(self) -> datetime:
        """The exchange's clock: klines that end after it are unfinished. The machine's own is never asked."""

    @abstractmethod
    def symbols(self) -> list[Symbol]:
        """Every symbol the exchange lists, those that no longer trade too where it remembers them."""

    @abstractmethod
    def first_time(self, currency: str, interval: str) -> datetime | None:
        """Open time of the first kline ever: when trading began; None when there never was one."""

    @abstractmethod
    def klines(self, currency: str, interval: str, start: datetime, end: datetime) -> Iterator[pl.DataFrame]:
        """Finished klines with time in [start, end), as `KLINE_SCHEMA`, a page at a time, in order.

        What the exchange never recorded is absent, and so is the unfinished kline.

        Raises:
            BadKlines: the exchange sends rows that break the kline contract.
            ExchangeError and below: it refuses, or does not answer.
        """

    @abstractmethod
    def daily_closes(
        self, currency: str, *, start: datetime | None = None, end: datetime | None = None, limit: int
    ) -> dict[date, float]:
        """Close of each day (UTC) that has a kline, today's so far included, by day in order.

        At most `limit` of them: the first with a start in [start, end), or the newest where `start` is None.
        """

    def last_finished(self, interval: str) -> datetime:
        """First open time that is not finished yet: klines before it may be stored."""
        step = interval_delta(interval).total_seconds()
        return datetime.fromtimestamp(self.server_time().timestamp() // step * step, UTC)

    def _heard(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self.market = headers.get(MARKET_HEADER, "")
        if not self.market.startswith(self._expected_market):
            raise HomeConflict(
                f"the home holds a {self._expected_market} market and {self.url} serves another: "
                "set CRYPTOBOT_HOME to another directory, or CRYPTOBOT_EXCHANGE_URL to that market's address"
            )


def _what_is_wrong(name: str, part: object) -> str | None:
    if not (isinstance(part, type) and issubclass(part, ExchangeClient)):
        return "it is no subclass of cryptobot_assets.storage.exchange_client.ExchangeClient"
    lacking = sorted(part.__abstractmethods__)
    return f"it lacks {', '.join(lacking)}" if lacking else None


DEFAULT_EXCHANGE = "binance"
EXCHANGES: Catalogue[type[ExchangeClient]] = Catalogue(
    "cryptobot_assets.exchanges",
    "exchange",
    ours={DEFAULT_EXCHANGE: "cryptobot_assets.storage.exchange:Exchange"},
    check=_what_is_wrong,
)


def exchange_at(url: str, **options: Any) -> ExchangeClient:
    """The client of the exchange at an address; `options` as `ExchangeClient` takes them.

    Raises:
        UsageError: the address names an exchange that nobody brings.
    """
    before, _, address = url.partition("+")
    name, address = (DEFAULT_EXCHANGE, url) if "/" in before or not address else (before, address)
    if name not in EXCHANGES:
        raise UsageError(
            f"CRYPTOBOT_EXCHANGE_URL: no exchange {name!r} in {url}; choose from {', '.join(EXCHANGES)}, "
            "or install the package that brings it"
        )
    return EXCHANGES[name](address, **options)

"""The exchange behind a home: the real one, or a server of ours that replays or simulates."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptobot_assets.errors import HomeConflict, ProcessError, UnknownCurrency, UsageError
from cryptobot_assets.processes import Supervisor
from cryptobot_assets.profile import HomeProfile, read_profile
from cryptobot_assets.settings import NO_ARCHIVE, Settings
from cryptobot_assets.storage.archive_index import ArchiveIndex
from cryptobot_assets.storage.exchange_client import ExchangeClient, exchange_at
from cryptobot_assets.universe import listed_currencies

READY = re.compile(r"^exchange: (?P<what>.*), on (?P<url>http://\S+)$", re.MULTILINE)
USAGE_EXIT_CODE = 2
SIMULATED_DAYS = {"1m": 60, "1h": 365}
SIMULATED_CURRENCIES = 8


@dataclass(frozen=True)
class MarketPlan:
    """What a local exchange is to serve: `replay` files, or a simulation of `seed`."""

    interval: str
    seed: int
    replay: tuple[Path, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """As kept in the home's profile."""
        if self.replay:
            return {"kind": "replay", "replay": [str(path) for path in self.replay], "interval": self.interval}
        return {"kind": "simulated", "seed": self.seed, "interval": self.interval}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> MarketPlan:
        """Of what a profile keeps."""
        paths = tuple(Path(path) for path in facts.get("replay", []))
        return cls(interval=facts["interval"], seed=facts.get("seed", 0), replay=paths)

    @property
    def title(self) -> str:
        """For people and for the report's `source`."""
        if self.replay:
            return "replay of " + ", ".join(path.name for path in self.replay)
        return f"simulated market, seed {self.seed}"

    def command(self, port: int) -> list[str]:
        """Arguments that serve it."""
        argv = [sys.executable, "-m", "cryptobot_assets.cli.main", "exchange", "--port", str(port)]
        argv += ["--interval", self.interval]
        if self.replay:
            return [*argv, *(part for path in self.replay for part in ("--replay", str(path)))]
        days = str(SIMULATED_DAYS[self.interval])
        return [*argv, "--simulate", str(self.seed), "--currencies", str(SIMULATED_CURRENCIES), "--days", days]


@dataclass(frozen=True)
class LiveMarket:
    """A local exchange that answers: where, and what it holds."""

    url: str
    currencies: tuple[str, ...]
    first_day: date
    last_day: date


def start_market(plan: MarketPlan, supervisor: Supervisor, logs: Path, *, port: int = 0) -> str:
    """Start the local exchange; returns its URL once it answers.

    Raises:
        UsageError: it refuses what it is to serve, a replay file without the columns for example.
        ProcessError: it does not start for another reason.
    """
    try:
        child = supervisor.start("exchange", plan.command(port), log_path=logs / "exchange.log", ready=READY)
    except ProcessError as error:
        if error.exit_code == USAGE_EXIT_CODE:
            raise UsageError(error.said.removeprefix("cryptobot: ")) from error
        raise
    found = READY.search(child.output())
    return found.group("url") if found else ""


def explore(url: str, interval: str, wanted: tuple[str, ...] | None) -> LiveMarket:
    """What an exchange holds of the wanted currencies, all of its USDT symbols when None, delisted ones included.

    Raises:
        UnknownCurrency: one of them is not listed.
        UsageError: it holds no kline of them, or its klines reach into days to come, which have no partition.
    """
    exchange = exchange_at(url)
    currencies = known_currencies(exchange, wanted) if wanted else listed_currencies(exchange)
    firsts = [first for name in currencies if (first := exchange.first_time(name, interval)) is not None]
    if not firsts:
        raise UsageError(f"the exchange at {url} has no {interval} kline of {', '.join(currencies)}")
    last_day, today = (exchange.last_finished(interval) - timedelta(microseconds=1)).date(), datetime.now(UTC).date()
    if last_day > today:
        raise UsageError(
            f"the exchange at {url} has klines up to {last_day} and today is {today}, and a day to come has no "
            "partition: replay klines that end by today, and see to this machine's clock if these do"
        )
    return LiveMarket(url, currencies, min(firsts).date(), last_day)


def known_currencies(
    exchange: ExchangeClient, wanted: Iterable[str], index: ArchiveIndex | None = None
) -> tuple[str, ...]:
    """The symbols meant, of those the exchange lists; of those it has forgotten too where archives remember them.

    Raises:
        UnknownCurrency: one of them is neither.
    """
    known: Collection[str] = listed_currencies(exchange)
    if index is not None and not all(_is_listed(name, known) for name in wanted):
        known = {*known, *index.currencies()}
    return tuple(_listed_name(name, known) for name in wanted)


def _is_listed(name: str, listed: Collection[str]) -> bool:
    return name in listed or f"{name}USDT" in listed


def _listed_name(name: str, listed: Collection[str]) -> str:
    """The symbol meant: `BTC` is short for `BTCUSDT`."""
    for symbol in (name, f"{name}USDT"):
        if symbol in listed:
            return symbol
    raise UnknownCurrency(name, listed)


def require_same_market(held: HomeProfile | None, plan: MarketPlan, home: Path) -> None:
    """Nothing, when the home is empty or holds that same market; mixing two would spoil both."""
    if held is None or dict(held.exchange) == plan.facts:
        return
    kept = held.exchange.get("url") or MarketPlan.from_facts(held.exchange).title
    raise HomeConflict(
        f"home {home} holds another market ({held.interval}, {kept}): use --home with an empty directory, or delete it"
    )


def exchange_of(settings: Settings, supervisor: Supervisor, *, port: int = 0) -> tuple[str, str]:
    """URL and title of the exchange behind a home; a home that a demo filled gets its own market back.

    An address given in the environment wins, as long as it serves the same kind of market.

    Raises:
        HomeConflict: the home holds a simulated or replayed market and the address serves another kind.
    """
    profile = read_profile(settings.home)
    if profile is None or "kind" not in profile.exchange:
        return settings.exchange_url, "the exchange the settings name"
    plan = MarketPlan.from_facts(profile.exchange)
    if "exchange_url" not in settings.model_fields_set:
        return start_market(plan, supervisor, settings.home / "logs", port=port), plan.title
    exchange = exchange_at(settings.exchange_url)
    exchange.server_time()
    if not exchange.market.startswith(profile.exchange["kind"]):
        raise HomeConflict(
            f"home {settings.home} holds a {plan.title} and {settings.exchange_url} serves another market: "
            "set CRYPTOBOT_HOME to another directory"
        )
    return settings.exchange_url, plan.title


def archive_beside(settings: Settings, url: str) -> str:
    """Setting of the archive that belongs to the exchange at `url`; a market started here is read over REST."""
    return settings.archive_url if url == settings.exchange_url else NO_ARCHIVE


def index_beside(settings: Settings, url: str) -> ArchiveIndex | None:
    """Directory of the archives that belong to the exchange at `url`, None where there is none."""
    address = settings.archive_index_address if url == settings.exchange_url else None
    return ArchiveIndex(address) if address else None


def spread_cutoffs(first: date, last: date, count: int) -> list[datetime]:
    """`count` cutoff days spread evenly over the last third of [first, last], the first at its start.

    >>> [day.date().isoformat() for day in spread_cutoffs(date(2025, 1, 1), date(2025, 3, 1), 2)]
    ['2025-02-10', '2025-02-20']
    """
    days = (last - first).days + 1
    third = days / 3
    starts = [first + timedelta(days=int(days - third + third * number / count)) for number in range(count)]
    return [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in dict.fromkeys(starts)]

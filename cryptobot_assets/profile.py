"""What a home remembers of the market it holds, so that later commands on it agree."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptobot_assets.settings import HOME_PROFILE


@dataclass(frozen=True)
class HomeProfile:
    """What a home remembers of the market it holds, so that later commands agree about it."""

    interval: str
    partition: str
    currencies: tuple[str, ...]
    start_day: date
    market: str
    exchange: Mapping[str, Any]


def write_profile(home: Path, profile: HomeProfile) -> None:
    """Write `home.json`, whole or not at all."""
    content = {
        "interval": profile.interval,
        "partition": profile.partition,
        "currencies": list(profile.currencies),
        "start_day": profile.start_day.isoformat(),
        "market": profile.market,
        "exchange": dict(profile.exchange),
    }
    draft = home / f".{HOME_PROFILE}.{os.getpid()}"
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(home / HOME_PROFILE)


def read_profile(home: Path) -> HomeProfile | None:
    """The home's profile, None where no command has filled it yet."""
    path = home / HOME_PROFILE
    if not path.is_file():
        return None
    content = json.loads(path.read_text())
    return HomeProfile(
        interval=content["interval"],
        partition=content["partition"],
        currencies=tuple(content["currencies"]),
        start_day=date.fromisoformat(content["start_day"]),
        market=content["market"],
        exchange=content["exchange"],
    )


def market_source(home: Path, exchange_url: str) -> str:
    """In words, what market the klines of a home are of: simulated, or recorded and from where."""
    profile = read_profile(home)
    facts = profile.exchange if profile else {}
    if facts.get("kind") == "simulated":
        return f"simulated market, seed {facts.get('seed')}"
    if facts.get("kind") == "replay":
        return f"recorded klines, replayed from {', '.join(Path(path).name for path in facts['replay'])}"
    return f"recorded klines of the exchange at {urlsplit(str(facts.get('url', exchange_url))).hostname}"


def expected_market(home: Path) -> str:
    """How the exchange behind a home must begin to describe its market; empty where any will do.

    A home filled by a demo holds a simulated or a replayed market, which another would spoil.
    """
    profile = read_profile(home)
    return str(profile.exchange.get("kind", "")) if profile else ""

"""`cryptobot doctor`: look at everything a run needs, and say what to mend."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack

from cryptobot_assets.alerts.channels import open_channels
from cryptobot_assets.cli.console import say
from cryptobot_assets.cli.market import archive_beside, exchange_of, explore
from cryptobot_assets.dagster_home import deployment_environment
from cryptobot_assets.errors import CryptobotError, StoreError
from cryptobot_assets.home import require_writable_home
from cryptobot_assets.processes import Supervisor
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import EVERY, NO_ARCHIVE, Settings
from cryptobot_assets.storage.exchange_client import exchange_at
from cryptobot_assets.storage.metadata import release_metadata
from cryptobot_assets.storage.postgres_address import shown
from cryptobot_assets.storage.store import KLINES, open_store
from cryptobot_assets.universe import listed_currencies

LEAST_FREE_GB = 2
MOST_ASKED = 3
"""Of a universe of `all`, currencies that are asked for a kline."""


def run_doctor() -> bool:
    """Print one line a check; True when nothing needs mending."""
    with ExitStack() as stack:
        try:
            settings = Settings.load()
        except CryptobotError as error:
            return _told("settings", str(error), healthy=False)
        stack.callback(release_metadata, settings)
        checks: dict[str, Callable[[], str]] = {
            "settings": lambda: f"{settings.interval} klines, {', '.join(settings.currencies)}",
            "home": lambda: _home(settings),
            "store": lambda: _store(settings),
            "exchange": lambda: _exchange(settings, stack),
            "metadata": lambda: _metadata(settings),
            "registry": lambda: _registry(settings),
            "alerts": lambda: _alerts(settings),
        }
        healthy = [_checked(name, check) for name, check in checks.items()]
        return all(healthy)


def _checked(name: str, check: Callable[[], str]) -> bool:
    try:
        return _told(name, check(), healthy=True)
    except CryptobotError as error:
        return _told(name, str(error), healthy=False)


def _told(name: str, text: str, *, healthy: bool) -> bool:
    say(f"{'ok  ' if healthy else 'MEND'}  {name:<10} {text}")
    return healthy


def _home(settings: Settings) -> str:
    home = require_writable_home(settings.home)
    free_gb = shutil.disk_usage(home).free / 2**30
    if free_gb < LEAST_FREE_GB:
        raise StoreError(f"{home}: {free_gb:.1f} GB free; make room, at least {LEAST_FREE_GB} GB")
    return f"{home}, {free_gb:.0f} GB free"


def _store(settings: Settings) -> str:
    rows = open_store(settings).query(f"SELECT count(*) AS rows FROM {KLINES.name}")["rows"][0]
    return f"{shown(settings.lake_url)}, {rows:,} klines"


def _exchange(settings: Settings, stack: ExitStack) -> str:
    url, title = exchange_of(settings, stack.enter_context(Supervisor()))
    every = settings.currencies == EVERY
    wanted = listed_currencies(exchange_at(url)) if every else settings.currencies
    live = explore(url, settings.interval, wanted[:MOST_ASKED] if every else wanted)
    archive = archive_beside(settings, url)
    history = "REST alone" if archive == NO_ARCHIVE else f"archives at {archive}"
    return f"{url} ({title}), {len(wanted)} currencies, newest finished day {live.last_day}; {history}"


def _metadata(settings: Settings) -> str:
    return "PostgreSQL answers, Dagster home " + deployment_environment(settings)["DAGSTER_HOME"]


def _registry(settings: Settings) -> str:
    registry = open_registry(settings).require_answer()
    champion = registry.champion(settings.service_market)
    return f"champion {champion.algorithm} version {champion.version}" if champion else "answers; no champion yet"


def _alerts(settings: Settings) -> str:
    channels = [channel.name for channel in open_channels(settings)]
    return f"{', '.join(channels)}; `cryptobot alert` tries them" if channels else "to the log alone"

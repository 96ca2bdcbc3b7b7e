"""`cryptobot backfill`."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, date, datetime

from cryptobot_assets.cli.console import Stage, say
from cryptobot_assets.cli.market import archive_beside, exchange_of, listed_currencies
from cryptobot_assets.cli.ranges import missing_ranges
from cryptobot_assets.deployment import open_deployment
from cryptobot_assets.domain.intervals import DAY, day_start, interval_delta
from cryptobot_assets.errors import UsageError
from cryptobot_assets.home import HomeLock
from cryptobot_assets.partitions import POOLED_MARKET
from cryptobot_assets.processes import Supervisor
from cryptobot_assets.profile import HomeProfile, read_profile, write_profile
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.universe import EVERY


def run_backfill(settings: Settings, currencies: tuple[str, ...], first: date, last: date) -> None:
    """Ingest and indicate [first, last] of the currencies, a run a currency, skipping what is recorded."""
    if last < first:
        raise UsageError(f"the range {first} to {last} is empty: --to is before --from")
    if first > datetime.now(UTC).date():
        raise UsageError(f"the range {first} to {last} lies in the future")
    with ExitStack() as stack:
        stack.enter_context(HomeLock(settings.home, "cryptobot backfill"))
        url, _ = exchange_of(settings, stack.enter_context(Supervisor()))
        currencies = listed_currencies(Exchange(url), currencies)
        deployment = stack.enter_context(open_deployment(widen(settings, currencies, first, url)))
        expected = len(currencies) * int((day_start(last) + DAY - day_start(first)) / interval_delta(settings.interval))
        for layer, title in (("klines", "Ingest klines"), ("indicators", "Build indicators")):
            ranges = missing_ranges(deployment, layer, currencies, first, last)
            if not ranges:
                say(f"  {title}: every partition is recorded already")
                continue
            with Stage(title, expected).running() as stage:
                for one in ranges:
                    deployment.materialize([one.asset], key_range=one.keys, resources={"progress": stage})


def widen(settings: Settings, currencies: tuple[str, ...], first: date, url: str) -> Settings:
    """Settings whose partitions hold the range too, kept in the home for later commands."""
    held = read_profile(settings.home)
    universe = () if settings.currencies == EVERY else settings.currencies
    widened = Settings.load(
        **settings.model_dump(exclude={"currencies", "start_day", "exchange_url", "archive_url", "archive_index_url"}),
        currencies=",".join(dict.fromkeys((*universe, *currencies))),
        start_day=min(settings.start_day, first),
        exchange_url=url,
        archive_url=archive_beside(settings, url),
    )
    write_profile(
        widened.home,
        HomeProfile(
            interval=widened.interval,
            partition=widened.partition,
            currencies=widened.currencies,
            start_day=widened.start_day,
            market=held.market if held else POOLED_MARKET,
            exchange=held.exchange if held else {"url": url},
        ),
    )
    return widened

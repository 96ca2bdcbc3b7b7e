"""`cryptobot backfill`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, date, datetime

from cryptobot_assets.cli.console import Stage, say
from cryptobot_assets.cli.market import archive_beside, exchange_of, index_beside, known_currencies
from cryptobot_assets.cli.ranges import missing_ranges
from cryptobot_assets.deployment import Deployment, open_deployment
from cryptobot_assets.domain.intervals import DAY, day_start, interval_delta
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.domain.universe import Listing, listed_parts
from cryptobot_assets.errors import UsageError
from cryptobot_assets.home import HomeLock
from cryptobot_assets.partitions import POOLED_MARKET
from cryptobot_assets.processes import Supervisor
from cryptobot_assets.profile import HomeProfile, read_profile, write_profile
from cryptobot_assets.settings import EVERY, Settings
from cryptobot_assets.storage.exchange_client import exchange_at
from cryptobot_assets.storage.listings import read_listings
from cryptobot_assets.storage.store import open_store


def run_backfill(settings: Settings, currencies: tuple[str, ...], first: date, last: date) -> None:
    """Ingest and indicate [first, last] of the currencies, or of every one, skipping what is recorded."""
    if last < first:
        raise UsageError(f"the range {first} to {last} is empty: --to is before --from")
    if first > datetime.now(UTC).date():
        raise UsageError(f"the range {first} to {last} lies in the future")
    with ExitStack() as stack:
        stack.enter_context(HomeLock(settings.home, "cryptobot backfill"))
        url, _ = exchange_of(settings, stack.enter_context(Supervisor()))
        if currencies != EVERY:
            currencies = known_currencies(exchange_at(url), currencies, index_beside(settings, url))
        deployment = stack.enter_context(open_deployment(widen(settings, currencies, first, url)))
        say("  Looking at listings")
        deployment = look_at_listings(deployment, currencies)
        currencies = deployment.partitions.currencies if currencies == EVERY else currencies
        expected = expected_rows(deployment, currencies, first, last)
        for layer, title in (("klines", "Ingest klines"), ("indicators", "Build indicators")):
            ranges = missing_ranges(deployment, layer, currencies, first, last)
            if not ranges:
                say(f"  {title}: every partition is recorded already")
                continue
            with Stage(title, expected).running() as stage:
                for one in ranges:
                    deployment.materialize([one.asset], key_range=one.keys, resources={"progress": stage})


def look_at_listings(deployment: Deployment, currencies: tuple[str, ...]) -> Deployment:
    """Learn when these currencies traded, or every one; the deployment with a partition for each."""
    chosen = {} if currencies == EVERY else {"listings": {"config": {"currencies": ",".join(currencies)}}}
    deployment.materialize(["listings"], ops=chosen)
    return deployment.reopened()


def expected_rows(deployment: Deployment, currencies: Iterable[str], first: date, last: date) -> int:
    """Klines of the days [first, last], as far as the currencies traded."""
    settings = deployment.settings
    known: dict[str, list[Listing]] = defaultdict(list)
    for one in read_listings(open_store(settings)):
        known[one.currency].append(one)
    whole = (Span(name, day_start(first), day_start(last) + DAY) for name in currencies)
    parts = (part for span in whole for part in listed_parts(known[span.currency], span))
    return sum((part.end - part.start) // interval_delta(settings.interval) for part in parts)


def widen(settings: Settings, currencies: tuple[str, ...], first: date, url: str) -> Settings:
    """Settings whose partitions hold the range too, kept in the home for later commands."""
    held = read_profile(settings.home)
    every = EVERY in (settings.currencies, currencies)
    widened = Settings.load(
        **settings.model_dump(exclude={"currencies", "start_day", "exchange_url", "archive_url", "archive_index_url"}),
        currencies=",".join(EVERY if every else dict.fromkeys((*settings.currencies, *currencies))),
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

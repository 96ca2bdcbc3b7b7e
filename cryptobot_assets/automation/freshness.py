"""How old the newest klines are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from cryptobot_assets.alerts.advice import advice_on
from cryptobot_assets.alerts.book import Problem, told_time
from cryptobot_assets.automation.clock import market_now
from cryptobot_assets.automation.pages import Pages
from cryptobot_assets.errors import CryptobotError
from cryptobot_assets.settings import EVERY, Settings
from cryptobot_assets.storage.store import KLINES, LISTINGS, Store, newest_times, open_store


def store_problems(settings: Settings, pages: Pages, now: datetime) -> list[Problem]:
    """Whether klines are stale, or the store that would tell is not to be had."""
    try:
        store = open_store(settings)
        newest = trading(store, settings)
        present = market_now(settings, store, now)
    except CryptobotError as error:
        return [
            Problem(
                cause="store",
                title="the store cannot be read",
                reason=str(error),
                advice=advice_on(type(error).__name__),
            )
        ]
    limit = timedelta(hours=settings.freshness_hours)
    stale = {name: moment for name, moment in newest.items() if present - moment > limit}
    return [stale_problem(stale, len(newest), settings.freshness_hours, pages)] if stale else []


def trading(store: Store, settings: Settings) -> dict[str, datetime]:
    """Newest stored kline of the currencies of the settings, but for those that the listings say trade no more."""
    listings = store.read(LISTINGS, columns=["currency", "time", "end"]).sort("time")
    last = listings.group_by("currency", maintain_order=True).agg(pl.col("end").last())
    over = set(last.drop_nulls("end")["currency"])
    newest = newest_times(store, KLINES)
    held = set(newest if settings.currencies == EVERY else settings.currencies) - over
    return {name: moment for name, moment in newest.items() if name in held}


def stale_problem(stale: Mapping[str, datetime], count: int, hours: float, pages: Pages) -> Problem:
    """One problem for all currencies whose newest kline is too old."""
    oldest = min(stale, key=stale.__getitem__)
    return Problem(
        cause="stale klines",
        title=f"klines of {len(stale)} of {count} currencies are older than {hours:g} h",
        reason=f"the newest of {oldest} is of {told_time(stale[oldest])}",
        advice=(
            "see whether ingestion_schedule runs and what its last runs say; "
            "`cryptobot doctor` tells whether the exchange answers"
        ),
        subjects=tuple(stale),
        links=(pages.asset("klines"), pages.automation),
        occurrence=",".join(sorted(stale)),
    )

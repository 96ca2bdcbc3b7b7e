"""What the paper bot's ledger and the record of served predictions have come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from cryptobot_assets.domain.instants import earliest
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.paper_figures import Figures, figures_of, holdings_of
from cryptobot_assets.domain.paper_ledger import BOT
from cryptobot_assets.domain.pool_value import SLEEVES
from cryptobot_assets.domain.served_figures import by_day, by_version, compared
from cryptobot_assets.domain.thinning import line_points
from cryptobot_assets.leaderboard import costs_of
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import (
    PAPER_BALANCES,
    PAPER_DECISIONS,
    PAPER_FILLS,
    PREDICTION_OUTCOMES,
    SERVED_PREDICTIONS,
    Store,
)

ACCOUNTS = {"bot": "equity", "universe": "universe_equity", "bitcoin": "bitcoin_equity"}
"""Columns of `paper_balances` by account."""
FILLS_DAYS, FILLS_SHOWN = 7, 20
SERVED_DAYS = 90
"""Of served predictions, how far back from the newest the page looks."""


@dataclass(frozen=True)
class Paper:
    """The ledger of a market.

    Attributes:
        figures: see `figures_of`.
        lines: by account, time and multiple of the capital, thinned; an account that could not buy is absent.
        versions: time from which each version ranked, with its name.
        held: what all sleeves hold together, see `holdings_of`.
        fills: the newest ones, newest first.
    """

    figures: Figures
    lines: Mapping[str, pl.DataFrame]
    versions: tuple[tuple[datetime, str], ...]
    held: pl.DataFrame
    fills: pl.DataFrame


@dataclass(frozen=True)
class Record:
    """Served predictions of a market: how many of its newest days, and what became of them, see `served_figures`."""

    served: int
    since: datetime
    newest: datetime
    versions: pl.DataFrame
    days: pl.DataFrame
    compared: pl.DataFrame


def paper(store: Store, settings: Settings, market: str) -> Paper | None:
    """What the ledger says; None where nothing was booked yet."""
    balances = store.read(PAPER_BALANCES, market=market).sort("time")
    figures = figures_of(balances, costs_of(settings), seed=settings.seed)
    if figures is None:
        return None
    decisions = store.read(PAPER_DECISIONS, start=figures.end - (SLEEVES - 1) * HOUR, market=market)
    since = max(figures.start, figures.end - FILLS_DAYS * DAY)
    fills = store.read(PAPER_FILLS, start=since, market=market, account=BOT).sort("filled_at", "currency")
    multiples = balances.select("time", *(pl.col(name) / figures.capital for name in ACCOUNTS.values()))
    return Paper(
        figures,
        {
            account: line_points(multiples, name, step=HOUR)
            for account, name in ACCOUNTS.items()
            if multiples[name].null_count() < multiples.height
        },
        _versions(store, market),
        holdings_of(decisions),
        fills.tail(FILLS_SHOWN).reverse(),
    )


def record(store: Store, market: str) -> Record | None:
    """What was served; None where nothing was stored yet."""
    newest = store.query(f"SELECT max(served_at) AS newest FROM {SERVED_PREDICTIONS.name}")["newest"][0]
    if newest is None:
        return None
    since = newest - SERVED_DAYS * DAY
    served = store.read(SERVED_PREDICTIONS, start=since, columns=["served_at", "prediction_id"], market=market)
    outcomes = store.read(PREDICTION_OUTCOMES, start=since, market=market)
    return Record(
        served["prediction_id"].n_unique(),
        earliest(served["served_at"]) if served.height else since,
        newest,
        by_version(outcomes),
        by_day(outcomes),
        compared(outcomes),
    )


def _versions(store: Store, market: str) -> tuple[tuple[datetime, str], ...]:
    columns = ["time", "algorithm", "version"]
    rows = store.read(PAPER_DECISIONS, columns=columns, market=market)
    first = rows.group_by("algorithm", "version").agg(pl.col("time").min()).sort("time")
    return tuple((row["time"], f"{row['algorithm']} {row['version']}") for row in first.to_dicts())

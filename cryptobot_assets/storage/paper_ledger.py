"""The paper ledger in a store: written hour by hour, its balances last, and read back as the bot's state.

An hour counts as booked once its balance is stored. What a run that was killed left of later hours
is replaced by whoever books them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.paper_book import Book
from cryptobot_assets.domain.paper_ledger import BITCOIN, LEDGER_SCHEMAS, MONEY, UNIVERSE, Ledger
from cryptobot_assets.domain.pool_value import SLEEVES
from cryptobot_assets.storage.store import PAPER_BALANCES, PAPER_DECISIONS, PAPER_FILLS, Store

LEDGER_TABLES = (PAPER_DECISIONS, PAPER_FILLS, PAPER_BALANCES)
"""In the order of writing: the balance is what makes an hour booked."""


def ledger_span(store: Store, market: str) -> tuple[datetime, datetime] | None:
    """First and newest booked hour of a market, None where none is."""
    times = store.read(PAPER_BALANCES, columns=["time"], market=market, currency=MONEY)["time"]
    return (earliest(times), latest(times)) if len(times) else None


def read_ledger(store: Store, market: str, start: datetime, end: datetime) -> Ledger:
    """The rows of booked hours in [start, end)."""
    span = ledger_span(store, market)
    until = min(end, span[1] + HOUR) if span else start
    return {table.name: store.read(table, start=start, end=until, market=market) for table in LEDGER_TABLES}


def write_ledger(store: Store, market: str, ledger: Ledger, start: datetime) -> None:
    """Make these rows the only ones from `start` on: booking the same hours again leaves the same rows."""
    for table in LEDGER_TABLES:
        rows = ledger[table.name]
        store.replace(table, rows.select(list(LEDGER_SCHEMAS[table.name])), start=start, end=None, market=market)


def read_book(store: Store, market: str, before: datetime, capital: float) -> Book:
    """What was held just before an hour: of each sleeve, what its last booked hour left it.

    Args:
        capital: what sleeves that have not decided yet begin with.
    """
    day: dict[str, Any] = {"start": before - SLEEVES * HOUR, "end": before, "market": market}
    balances = store.read(PAPER_BALANCES, columns=["time", "sleeve_cash"], currency=MONEY, **day)
    decisions = store.read(PAPER_DECISIONS, columns=["time", "currency", "quantity"], **day)
    book = Book.opened(capital)
    for time, cash in balances.iter_rows():
        held = decisions.filter(pl.col("time") == time, pl.col("quantity") > 0).select("currency", "quantity")
        book = book.with_sleeve(time.hour, cash, dict(held.sort("currency").iter_rows()))
    bought = store.read(PAPER_FILLS, end=before, market=market, account=(UNIVERSE, BITCOIN))
    controls = {
        str(account): dict(rows.sort("currency").select("currency", "quantity").iter_rows())
        for (account,), rows in sorted(bought.group_by(["account"]))
    }
    return Book(book.cash, book.held, controls)

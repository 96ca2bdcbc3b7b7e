"""A month of the gap ledger: read what is stored and recorded of every currency, class the gaps, write both down."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
import numpy as np
import polars as pl

from cryptobot_assets.domain.gap_grid import GapGrid
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.ledger import Lifetimes, class_gaps, coverage, newest_instant
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.gap_records import rewrite_gaps
from cryptobot_assets.storage.store import COVERAGE, GAPS, KLINES, LISTINGS, Store

CURRENCIES_AT_ONCE = 20
"""Read together: at 1m their keys of a month are 900,000 rows."""


@dataclass(frozen=True)
class Market:
    """What the ledger knows of every month.

    Attributes:
        currencies: those of the settings, and whatever else the store holds.
        ingested: the partitions recorded as ingested, joined.
        until: the newest instant that the exchange was known to have finished.
    """

    partitions: Partitions
    currencies: tuple[str, ...]
    lifetimes: Lifetimes
    ingested: tuple[Span, ...]
    until: datetime


@dataclass(frozen=True)
class Month:
    """What the ledger found in a month.

    Attributes:
        gaps: rows of `GAPS`, every one classed.
        coverage: rows of `COVERAGE`.
        surplus: stored rows beyond one a key, or that lie on no instant of the grid.
    """

    gaps: pl.DataFrame
    coverage: pl.DataFrame
    surplus: int


def read_market(store: Store, partitions: Partitions, ingested: Sequence[Span]) -> Market | None:
    """What holds for every month; None while nothing is stored.

    Args:
        ingested: the partitions of klines recorded as materialized, see `recorded_spans`.
    """
    gaps = store.read(GAPS, columns=["currency", "end"])
    listings: dict[str, list[tuple[datetime, datetime | None]]] = {}
    for currency, first, end in store.read(LISTINGS, columns=["currency", "time", "end"]).iter_rows():
        listings.setdefault(currency, []).append((first, end))
    lifetimes = Lifetimes(stored=store.spans(KLINES), listed=listings)
    until = newest_instant(lifetimes, gaps, partitions.settings.interval)
    if until is None:
        return None
    currencies = {*partitions.currencies, *lifetimes.stored, *gaps["currency"]}
    return Market(partitions, tuple(sorted(currencies)), lifetimes, tuple(ingested), until)


def recorded_spans(instance: dg.DagsterInstance, partitions: Partitions, layer: str) -> list[Span]:
    """The partitions of a layer that Dagster has recorded as materialized, neighbours joined."""
    keys = [
        key
        for group in partitions.groups
        for key in instance.get_materialized_partitions(dg.AssetKey(group.asset(layer)))
    ]
    return partitions.spans_of(keys)


def write_month(
    store: Store, market: Market, start: datetime, end: datetime, *, asked: pl.DataFrame | None = None
) -> Month:
    """Class every gap of the month [start, end) and store gaps and coverage.

    Args:
        asked: what the exchange, asked again, did not give, as rows of `GAPS` of kind `halt` or `not_listed`.
    """
    grid = GapGrid(market.currencies, start, end, market.partitions.settings.interval)
    stored, kinds = np.zeros(grid.shape, bool), np.zeros(grid.shape, np.uint8)
    surplus = 0

    def remake(held: pl.DataFrame) -> pl.DataFrame:
        nonlocal surplus
        recorded = np.zeros(grid.shape, np.uint8)
        grid.paint(recorded, held)
        if asked is not None:
            grid.paint(recorded, asked)
        stored[:] = False
        surplus = sum(grid.mark(stored, rows) for rows in _keys(store, market, start, end))
        kinds[:] = class_gaps(
            grid,
            stored=stored,
            recorded=recorded,
            ingested=_ingested(grid, market, stored | (recorded > 0)),
            lifetimes=market.lifetimes,
            until=market.until,
        )
        return grid.runs(kinds)

    rewrite_gaps(store, start, end, grid.interval, remake)
    covered = coverage(grid, stored, kinds)
    if not store.read(COVERAGE, start=start, end=end).equals(covered):
        store.replace(COVERAGE, covered, start=start, end=end)
    return Month(grid.runs(kinds), covered, surplus)


def _keys(store: Store, market: Market, start: datetime, end: datetime) -> Iterable[pl.DataFrame]:
    """Keys of the klines of [start, end), a few currencies at a time."""
    held = [
        currency
        for currency in market.currencies
        if currency in market.lifetimes.stored
        and market.lifetimes.stored[currency][0] < end
        and market.lifetimes.stored[currency][1] >= start
    ]
    for first in range(0, len(held), CURRENCIES_AT_ONCE):
        some = held[first : first + CURRENCIES_AT_ONCE]
        yield store.read(KLINES, start=start, end=end, columns=["currency", "time"], currency=some)


def _ingested(grid: GapGrid, market: Market, touched: np.ndarray) -> np.ndarray:
    """Partitions recorded as ingested, and those of which anything is stored or recorded, as a bool array."""
    ingested = np.zeros(grid.shape, bool)
    place = {currency: row for row, currency in enumerate(grid.currencies)}
    for span in market.ingested:
        if span.currency in place and span.start < grid.end and span.end > grid.start:
            ingested[place[span.currency], grid.columns(span.start, span.end)] = True
    for key in market.partitions.span_keys(grid.start.date(), (grid.end - DAY).date()):
        columns = grid.columns(*market.partitions.span(key))
        ingested[:, columns] |= touched[:, columns].any(axis=1, keepdims=True)
    return ingested

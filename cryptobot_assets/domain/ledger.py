"""The gap ledger: what should be stored against what is, and why each kline that is not stored is not.

Expected is what was ingested, from a currency's first kline to its last, up to the newest instant
of the market. A gap is believed to be the exchange's only when the exchange gave none of it: at
ingestion (the gap was recorded then) or when asked again. Everything else is missing on our side,
rows that vanished behind the platform's back first of all.

                        who else lacks it          kind
    recorded            all of three or more       outage
    asked again, none   not all                    halt
    else                                           missing, to be asked for
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.gap_grid import CLASSED, GapGrid, Kind
from cryptobot_assets.domain.intervals import DAY, interval_delta
from cryptobot_assets.domain.klines import UTC_TIME

FEWEST_COMPARED = 3
"""Currencies that must lack an instant, and no other have it, to call it an outage."""

COUNTED = ("expected", "stored", *(kind.word for kind in CLASSED))
COVERAGE_SCHEMA = {"currency": pl.String(), "time": UTC_TIME, **{name: pl.Int64() for name in COUNTED}}


@dataclass(frozen=True)
class Lifetimes:
    """When currencies traded.

    Attributes:
        stored: first and newest stored time of each currency that has any.
        listed: [first kline, just after the last) of each listing of a currency, end None while it
            trades; only of currencies for which that is known.
    """

    stored: Mapping[str, tuple[datetime, datetime]]
    listed: Mapping[str, Sequence[tuple[datetime, datetime | None]]] = field(default_factory=dict)


def newest_instant(lifetimes: Lifetimes, gaps: pl.DataFrame, interval: str) -> datetime | None:
    """The first instant after everything the exchange was known to have finished; None where nothing is stored."""
    ends = [newest + interval_delta(interval) for _, newest in lifetimes.stored.values()]
    return max([*ends, *gaps["end"].drop_nulls()], default=None)


def class_gaps(
    grid: GapGrid,
    *,
    stored: np.ndarray,
    recorded: np.ndarray,
    ingested: np.ndarray,
    lifetimes: Lifetimes,
    until: datetime,
) -> np.ndarray:
    """The kind of every gap.

    Args:
        stored, ingested: bool arrays over the grid: a kline is stored; its partition was ingested.
        recorded: uint8 array over the grid, the kind that the table of gaps gives; `HALT` for what
            the exchange did not give when it was asked again.
        until: the newest instant, see `newest_instant`; nothing is expected from it on.

    Returns:
        uint8 array over the grid: `NONE` or one of `CLASSED`. Recording it and classing again gives the same.
    """
    expected = ingested.copy()
    expected[:, grid.columns(until, grid.end)] = False
    lacking = expected & ~stored
    kinds = np.zeros(grid.shape, np.uint8)
    unlisted, ended = _outside_lifetimes(grid, recorded, lifetimes, until)
    kinds[lacking & ended] = Kind.DELISTED
    kinds[lacking & unlisted] = Kind.NOT_LISTED
    open_gaps = lacking & (kinds == Kind.NONE)
    answered = open_gaps & (recorded != Kind.NONE) & (recorded != Kind.MISSING)
    kinds[open_gaps] = Kind.MISSING
    kinds[answered & (recorded == Kind.HALT)] = Kind.HALT
    kinds[_outages(stored, answered)] = Kind.OUTAGE
    return kinds


def _outages(stored: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Where the whole market was silent, and the instants of the same gap next to it.

    In the minute in which the exchange stops, those that had traded by then still have a kline.
    """
    silent = ~stored.any(axis=0) & (np.count_nonzero(answered, axis=0) >= FEWEST_COMPARED)
    outage = answered & silent
    beside = np.zeros_like(outage)
    beside[:, :-1] |= outage[:, 1:]
    beside[:, 1:] |= outage[:, :-1]
    silence: np.ndarray = outage | (answered & beside)
    return silence


def _outside_lifetimes(
    grid: GapGrid, recorded: np.ndarray, lifetimes: Lifetimes, until: datetime
) -> tuple[np.ndarray, np.ndarray]:
    """Where trading had not begun, and where it had ended.

    Where nobody knows the listing, the record of ingestion tells that trading had not begun, and a
    gap from the newest stored kline on that lasts a day or more that it has ended.
    """
    unlisted, ended = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    step = interval_delta(grid.interval)
    for row, currency in enumerate(grid.currencies):
        listed = sorted(lifetimes.listed.get(currency, ()), key=lambda one: one[0])
        first, newest = lifetimes.stored.get(currency, (grid.end, None))
        if listed:
            ended[row] = True
            for begin, end in listed:
                ended[row, grid.columns(begin, end or grid.end)] = False
            unlisted[row, grid.columns(grid.start, listed[0][0])] = True
            continue
        before = grid.columns(grid.start, first)
        unlisted[row, before] = recorded[row, before] == Kind.NOT_LISTED
        if newest is not None and until - (newest + step) >= DAY:
            after = grid.columns(newest + step, grid.end)
            ended[row, after] = (recorded[row, after] != Kind.NONE) & (recorded[row, after] != Kind.MISSING)
    return unlisted, ended


def coverage(grid: GapGrid, stored: np.ndarray, kinds: np.ndarray) -> pl.DataFrame:
    """Klines expected and stored, and gaps of each kind, of every currency and day that has any.

    Args:
        grid: of whole days.

    Returns:
        columns of `COVERAGE_SCHEMA`, `time` the day's first instant; expected = stored + outage + halt +
        missing: what came before a listing or after its end was not to be expected.
    """
    days = (grid.end - grid.start) // DAY
    by_day = (len(grid.currencies), days, -1)
    counts = {"stored": np.count_nonzero(stored.reshape(by_day), axis=2)}
    counts |= {kind.word: np.count_nonzero((kinds == kind).reshape(by_day), axis=2) for kind in CLASSED}
    counts["expected"] = counts["stored"] + counts["outage"] + counts["halt"] + counts["missing"]
    frame = pl.DataFrame(
        {
            "currency": np.repeat(np.array(grid.currencies, dtype=object), days).tolist(),
            "time": [grid.start + day * DAY for day in range(days)] * len(grid.currencies),
            **{name: counts[name].ravel() for name in COUNTED},
        },
        schema=COVERAGE_SCHEMA,
    )
    return frame.filter(pl.sum_horizontal("expected", "not_listed", "delisted") > 0).sort("currency", "time")

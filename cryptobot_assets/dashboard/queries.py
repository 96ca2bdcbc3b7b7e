"""What the dashboard reads: pure functions of a store, with the rows and columns a chart needs and no others.

A prediction is of the 24 hours after its row: `predicted_return` and `realised_return` stand at the
row's time, the outcome being known a day later. Every stored prediction has a time at or after the
cutoff of the version that made it, so that whatever is read here is out of sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from cryptobot_assets.domain.intervals import DAY, day_start, interval_delta
from cryptobot_assets.leaderboard import open_end
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS, Store, Table

DEFAULT_DAYS = 28
POOLED = "ALL"
EVERY = "every currency"
"""Currency of a selection that is of a whole market, so that one answer serves whichever is chosen."""


@dataclass(frozen=True)
class Span:
    """A range of days: [start, end), and whether the holdout cut it short."""

    start: datetime
    end: datetime
    cut: bool = False

    @property
    def days(self) -> str:
        """In words, both ends included."""
        return f"{self.start:%Y-%m-%d} to {self.end - timedelta(microseconds=1):%Y-%m-%d}"


@dataclass(frozen=True)
class Selection:
    """What is looked at; `version` None for every version, each row scored by the one in force."""

    currency: str
    market: str
    algorithm: str
    version: str | None
    span: Span

    def named(self, *, one_currency: bool) -> dict[str, str]:
        """Values of the columns by which its predictions are found."""
        equal = {"market": self.market, "algorithm": self.algorithm}
        equal |= {} if self.version is None else {"version": self.version}
        return equal | ({"currency": self.currency} if one_currency else {})


def stored_spans(store: Store, table: Table) -> dict[str, tuple[datetime, datetime]]:
    """First and newest row of every currency."""
    return store.spans(table)


def default_days(stored: tuple[datetime, datetime]) -> tuple[date, date]:
    """The newest days of a currency, both ends included."""
    first, newest = stored[0].date(), stored[1].date()
    return max(first, newest - (DEFAULT_DAYS - 1) * DAY), newest


def span_of(settings: Settings, first: date, last: date) -> Span:
    """The days, both included, without what a holdout hides.

    Labels reach 24 hours further, so that the day before the holdout is hidden too.
    """
    start, end = day_start(first), day_start(last) + DAY
    until = open_end(settings, end) or end
    return Span(start, max(start, until), cut=until < end)


def scored_by(store: Store, currency: str, span: Span) -> pl.DataFrame:
    """Which versions scored rows of a currency: market, algorithm, version, cutoff, each once; the oldest first."""
    columns = ["market", "algorithm", "version", "cutoff"]
    rows = store.read(PREDICTIONS, start=span.start, end=span.end, columns=columns, currency=currency)
    return rows.unique().sort("market", "algorithm", "cutoff", pl.col("version").cast(pl.Int64))


def markets_of(scored: pl.DataFrame) -> list[str]:
    """Markets that scored rows, the pooled one first."""
    return sorted(scored["market"].unique(), key=lambda name: (name != POOLED, name))


def prediction_rows(store: Store, selection: Selection) -> pl.DataFrame:
    """Rows of one currency: time, version, cutoff, predicted_return, realised_return, by time."""
    rows = store.read(
        PREDICTIONS,
        start=selection.span.start,
        end=selection.span.end,
        columns=["time", "version", "cutoff", "predicted_return", "realised_return"],
        **selection.named(one_currency=True),
    )
    return rows.sort("time")


def close_rows(store: Store, currency: str, span: Span) -> pl.DataFrame:
    """Closes of one currency: time, close, by time."""
    return store.read(INDICATORS, start=span.start, end=span.end, columns=["time", "close"], currency=currency)


def cutoffs_within(rows: pl.DataFrame, span: Span) -> list[tuple[datetime, str]]:
    """Cutoffs that lie inside the span, with the version that was in force from there on."""
    first = rows.group_by("version", "cutoff").agg(pl.col("time").min()).sort("cutoff")
    return [
        (cutoff, version)
        for version, cutoff in first.select("version", "cutoff").iter_rows()
        if span.start <= cutoff < span.end
    ]


def counted(rows: pl.DataFrame, span: Span, interval: str) -> dict[str, int]:
    """How many rows there are of how many instants, and how many outcomes are known."""
    return {
        "instants": round((span.end - span.start) / interval_delta(interval)),
        "rows": rows.height,
        "known": rows["realised_return"].drop_nulls().len(),
    }

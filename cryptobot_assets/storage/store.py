"""What every store does, whichever engine holds the tables.

A store keeps its tables in long format, keyed as in `TABLES`. Writing replaces whole spans: the
rows of one key prefix and one half-open range of time, so that writing twice leaves one copy and
a write cut short leaves the old rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from cryptobot_assets.domain.indicators import INDICATOR_SCHEMA
from cryptobot_assets.domain.klines import KLINE_CONSTRAINTS, KLINE_SCHEMA, UTC_TIME
from cryptobot_assets.domain.ledger import COVERAGE_SCHEMA
from cryptobot_assets.domain.paper_ledger import LEDGER_CONSTRAINTS, LEDGER_KEYS, LEDGER_NULLABLE, LEDGER_SCHEMAS
from cryptobot_assets.domain.served import OUTCOME_SCHEMA, PREDICTION_KEY, SERVED_SCHEMA
from cryptobot_assets.errors import UsageError
from cryptobot_assets.plugins import Catalogue
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.postgres_address import SCHEMES
from cryptobot_assets.storage.s3 import is_s3


@dataclass(frozen=True)
class Table:
    """One stored table: columns, key, the columns that lay files or partitions apart, row rules in SQL."""

    name: str
    schema: dict[str, pl.DataType]
    key: tuple[str, ...]
    partition_by: tuple[str, ...]
    nullable: frozenset[str] = frozenset()
    constraints: dict[str, str] = field(default_factory=dict)
    time: str = "time"

    @property
    def rules(self) -> dict[str, str]:
        """Every row rule by name: values that must be present, finite numbers, and the table's own.

        To a database NaN and infinity are numbers, NaN the largest of all, so they are ruled out by name.
        """
        required = [name for name in self.schema if name not in self.nullable]
        present = {f"{name}_is_present": f'"{name}" IS NOT NULL' for name in required}
        numbers = [name for name, kind in self.schema.items() if kind == pl.Float64()]
        finite = " AND ".join(f'("{name}" IS NULL OR abs("{name}") < 1e30)' for name in numbers)
        return {**present, **({"numbers_are_finite": finite} if numbers else {}), **self.constraints}


KLINES = Table(
    "klines",
    KLINE_SCHEMA,
    key=("currency", "time"),
    partition_by=("currency",),
    nullable=frozenset({"quote_volume", "trades"}),
    constraints=KLINE_CONSTRAINTS,
)
INDICATORS = Table(
    "indicators",
    INDICATOR_SCHEMA,
    key=("currency", "time"),
    partition_by=("currency",),
    nullable=frozenset(INDICATOR_SCHEMA) - {"currency", "time", "close"},
    constraints={"close_is_positive": "close > 0"},
)
PREDICTIONS = Table(
    "predictions",
    {
        "market": pl.String(),
        "algorithm": pl.String(),
        "version": pl.String(),
        "currency": pl.String(),
        "time": UTC_TIME,
        "predicted_return": pl.Float64(),
        "realised_return": pl.Float64(),
        "cutoff": UTC_TIME,
    },
    key=("market", "algorithm", "version", "currency", "time"),
    partition_by=("market",),
    nullable=frozenset({"realised_return"}),
    constraints={"time_is_at_or_after_cutoff": "time >= cutoff"},
)
GAPS = Table(
    "gaps",
    {"currency": pl.String(), "time": UTC_TIME, "end": UTC_TIME, "missing": pl.Int64(), "kind": pl.String()},
    key=("currency", "time"),
    partition_by=(),
    nullable=frozenset({"kind"}),
    constraints={"end_is_after_time": '"end" > "time"'},
)
"""Runs of the grid without a kline; `kind` (see `domain/gap_grid.py`) says why, null until the ledger has looked."""

COVERAGE = Table(
    "coverage",
    COVERAGE_SCHEMA,
    key=("currency", "time"),
    partition_by=(),
    constraints={"expected_is_stored_or_lacking": "stored + outage + halt + missing = expected"},
)
"""Klines expected and stored of every currency and day that was ingested, and those lacking, by kind of gap.

`time` is the day's first instant. The ledger of gaps writes it, a month at a time.
"""

LISTINGS = Table(
    "listings",
    {
        "currency": pl.String(),
        "time": UTC_TIME,
        "end": UTC_TIME,
        "base": pl.String(),
        "quote": pl.String(),
        "kind": pl.String(),
        "position": pl.Int64(),
    },
    key=("currency", "time"),
    partition_by=(),
    nullable=frozenset({"end"}),
    constraints={"end_is_after_time": '"end" IS NULL OR "end" > "time"'},
)
"""When each currency traded: from `time`, its first kline, to `end`, just after its last, null while it trades.

`position` is the currency's place in the universe: given once, never to another.
"""

EXCHANGE_CLIENTS = Table(
    "exchange_clients",
    {"exchange": pl.String(), "client": pl.String(), "time": UTC_TIME, "blocked_until": UTC_TIME},
    key=("exchange", "client"),
    partition_by=(),
    nullable=frozenset({"blocked_until"}),
)
"""Machines that read from an exchange now: when each last said so, and until when it was told to wait."""

PAPER_DECISIONS, PAPER_FILLS, PAPER_BALANCES = (
    Table(name, schema, LEDGER_KEYS[name], ("market",), LEDGER_NULLABLE[name], LEDGER_CONSTRAINTS[name])
    for name, schema in LEDGER_SCHEMAS.items()
)
"""What the paper bot decided, traded and was worth, see `domain/paper_ledger.py`."""

SERVED_PREDICTIONS = Table(
    "served_predictions",
    SERVED_SCHEMA,
    key=PREDICTION_KEY,
    partition_by=(),
    nullable=frozenset({"caller", "time", "known_at", "predicted_return", "interval_low", "interval_high"}),
    constraints={"rows_are_counted": "rows >= 1"},
    time="served_at",
)
"""Every prediction the service gave: one row a currency, or one a reply to rows a caller sent (`currency` empty).

`prediction_id` is the reply's; `rows` counts what one row stands for, whose return is told when it is one.
"""

PREDICTION_OUTCOMES = Table(
    "prediction_outcomes",
    OUTCOME_SCHEMA,
    key=PREDICTION_KEY,
    partition_by=(),
    constraints={"outcome_is_after_its_row": "label_end_time > time"},
    time="served_at",
)
"""What became of served predictions 24 hours after their rows were known, as stored klines tell it."""

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *(KLINES, INDICATORS, PREDICTIONS, GAPS, COVERAGE, LISTINGS),
        *(SERVED_PREDICTIONS, PREDICTION_OUTCOMES),
        *(PAPER_DECISIONS, PAPER_FILLS, PAPER_BALANCES),
    )
}
"""What people ask and copy; `EXCHANGE_CLIENTS` is the platform's own business."""


NO_VERSION = "none"
"""Version of a table that nobody has written to."""


class Store(Protocol):
    """The contract every store passes the same suite for."""

    def read(
        self,
        table: Table,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        **equal: str | Sequence[str],
    ) -> pl.DataFrame:
        """Rows with time in [start, end) whose columns equal (or are among) the given values.

        Sorted by key; an empty frame when nothing was ever written.
        """

    def replace(
        self,
        table: Table,
        rows: pl.DataFrame,
        *,
        start: datetime | None,
        end: datetime | None,
        since: str | None = None,
        **equal: str | Sequence[str],
    ) -> int:
        """Make `rows` the only rows of the span, atomically; returns how many were written.

        The span is the rows with time in [start, end) whose columns equal (or are among) the given
        values. One write of several currencies is much cheaper than one of each.

        Args:
            since: the table's version before the span was read to make these rows of it.

        Raises:
            Overtaken: somebody has written to the span after `since`, or may have.
            StoreError: a row breaks the table's rules, lies outside the span, or repeats a key;
                what was stored before is untouched.
        """

    def version(self, table: Table) -> str:
        """Identity of the table's present content, to record beside what was made from it."""

    def as_of(self, table: Table, version: str) -> Store:
        """The store to read a table from as it was at a version; as it is now, where old versions are not kept.

        Raises:
            StoreError: that version was kept once and is gone.
        """

    def query(self, statement: str) -> pl.DataFrame:
        """The answer to one read-only SQL statement (DuckDB's dialect) over the tables."""

    def spans(self, table: Table) -> dict[str, tuple[datetime, datetime]]:
        """First and newest stored time of every currency; quick however much is stored."""

    def counts(
        self,
        table: Table,
        *,
        every: str,
        start: datetime | None = None,
        end: datetime | None = None,
        **equal: str | Sequence[str],
    ) -> pl.DataFrame:
        """Rows as `read` would give them, counted for each currency and `day` or `month` that has any.

        Returns:
            currency, time (the first instant of the day or month, UTC), rows; sorted.
        """

    def maintain(self, table: Table, *, history: timedelta, keep: Collection[str] = ()) -> dict[str, int]:
        """Keep reading and writing quick; the rows stay, and readers and writers may go on meanwhile.

        Where old versions can be read again, those younger than `history` and those that `keep`
        names still can afterwards; what only others need is deleted. Returns figures of what was
        done, none where there was nothing to do.
        """


@dataclass(frozen=True)
class Address:
    """Where a store is.

    Attributes:
        url: a directory, or `scheme://...`.
        s3_endpoint: of stores whose files lie in a bucket that is not AWS's.
    """

    url: str
    s3_endpoint: str | None = None


Opener = Callable[[Address], Store]

DIRECTORY = "directory"
"""Name of the opener of addresses that have no scheme."""

STORES: Catalogue[Opener] = Catalogue(
    "cryptobot_assets.stores",
    "store",
    ours={
        DIRECTORY: "cryptobot_assets.storage.lake:Lake.at",
        "s3": "cryptobot_assets.storage.lake:Lake.at",
        **dict.fromkeys(SCHEMES, "cryptobot_assets.storage.postgres:PostgresStore.at"),
    },
    check=lambda name, part: None if callable(part) else "it cannot be called with an Address",
)
"""What opens a store, by the scheme of its address."""


def open_store(settings: Settings) -> Store:
    """The store the settings name."""
    return open_store_at(settings.lake_url, s3_endpoint=settings.s3_endpoint)


def open_store_at(url: str, *, s3_endpoint: str | None = None) -> Store:
    """The store at an address: a directory, `s3://bucket/prefix`, `postgresql://...`, or one that a package brings.

    Raises:
        UsageError: no store is of that kind.
    """
    scheme = url.partition("://")[0] if "://" in url else DIRECTORY
    if scheme not in STORES:
        others = [f"{name}://" for name in STORES if not STORES.origin(name).is_ours]
        raise UsageError(
            f"CRYPTOBOT_STORE_URL: a store on {scheme}:// is not available; "
            f"use a directory, {', '.join(['s3://', *others])} or postgresql://, or install the package that brings it"
        )
    return STORES[scheme](Address(url, s3_endpoint))


def is_lake(url: str) -> bool:
    """Whether the store at an address is a lake: files in a directory or a bucket."""
    return "://" not in url or is_s3(url)


def newest_times(store: Store, table: Table) -> dict[str, datetime]:
    """Time of each currency's newest row."""
    return {currency: newest for currency, (_, newest) in store.spans(table).items()}

"""The lake: the store on Delta Lake, in a directory or an S3 bucket. Home of deltalake, with its `lake_*`.

Every write is one atomic commit that replaces a span (`replaceWhere`), so a process killed at any
instant leaves either the old rows or the new. Row rules are CHECK constraints of the tables
themselves: whatever writes to them, with or without this code, is held to them. Never fork a
process after using it (spawn instead): Delta's runtime does not survive a fork.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from cryptobot_assets.domain.gaps import PERIODS
from cryptobot_assets.errors import Overtaken, StoreError
from cryptobot_assets.storage import lake_upkeep, sql
from cryptobot_assets.storage.lake_files import known_spans, layout
from cryptobot_assets.storage.lake_order import in_order
from cryptobot_assets.storage.lake_snapshot import TableSnapshot, snapshot
from cryptobot_assets.storage.room import MAKE_ROOM, is_full
from cryptobot_assets.storage.rules import broken_rules, require_rows, told
from cryptobot_assets.storage.s3 import is_s3, s3_options
from cryptobot_assets.storage.store import NO_VERSION, Address, Table

COMMIT_RETRIES = 10
SPARE_BYTES = 2**20
"""Free space that is left alone: commits and checkpoints need some too."""


class Lake:
    """A `Store` on Delta tables below one address; tables are made on first use."""

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        """At a directory or `s3://bucket/prefix`; `options` are deltalake's, beside the environment's `AWS_*`."""
        self._url = url.rstrip("/")
        self._options = dict(options) if options else None
        self._opened: dict[str, DeltaTable] = {}
        self._pinned: dict[str, DeltaTable] = {}

    @classmethod
    def at(cls, address: Address) -> Lake:
        """The lake at an address."""
        return cls(address.url, s3_options(address.s3_endpoint) if is_s3(address.url) else None)

    def read(
        self,
        table: Table,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        **equal: str | Sequence[str],
    ) -> pl.DataFrame:
        """See `Store.read`."""
        chosen = list(columns or table.schema)
        order = [name for name in table.key if not isinstance(equal.get(name), str)]
        rows = self._scan(table, start, end, equal).select(list(dict.fromkeys([*chosen, *order]))).collect()
        return in_order(rows, order).select(chosen)

    def counts(
        self,
        table: Table,
        *,
        every: str,
        start: datetime | None = None,
        end: datetime | None = None,
        **equal: str | Sequence[str],
    ) -> pl.DataFrame:
        """See `Store.counts`."""
        period = pl.col(table.time).dt.truncate(PERIODS[every]).alias("time")
        rows = self._scan(table, start, end, equal).group_by("currency", period)
        return rows.agg(pl.len().cast(pl.Int64).alias("rows")).sort("currency", "time").collect()

    def _scan(
        self, table: Table, start: datetime | None, end: datetime | None, equal: Mapping[str, str | Sequence[str]]
    ) -> pl.LazyFrame:
        """The rows of a span, unsorted."""
        delta = self._existing(table)
        if delta is None:
            return pl.LazyFrame(schema=table.schema)
        rows = pl.scan_delta(delta).with_columns(
            pl.lit(None, table.schema[name]).alias(name) for name in _absent(table, delta)
        )
        for name, value in equal.items():
            rows = rows.filter(pl.col(name) == value if isinstance(value, str) else pl.col(name).is_in(list(value)))
        if start is not None:
            rows = rows.filter(pl.col(table.time) >= start)
        return rows if end is None else rows.filter(pl.col(table.time) < end)

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
        """See `Store.replace`."""
        rows = require_rows(table, rows, start, end, equal)
        for attempt in range(COMMIT_RETRIES):
            delta = self._ensure(table) if since is None else self._as_of(table, since)
            self._require_room(rows)
            try:
                write_deltalake(
                    delta,
                    rows,
                    mode="overwrite",
                    predicate=_predicate(table, start, end, equal),
                    writer_properties=layout(table),
                    commit_properties=CommitProperties(custom_metadata={"written_by": "cryptobot"}),
                )
                return rows.height
            except CommitFailedError as error:
                self._opened.pop(table.name, None)
                if since is not None:
                    raise Overtaken(f"table {table.name}: somebody else wrote these rows; run it again") from error
                if attempt == COMMIT_RETRIES - 1:
                    raise StoreError(f"table {table.name}: other writers kept winning; run it again") from error
                time.sleep(0.05 * 2**attempt)
            except (DeltaError, OSError) as error:
                raise self._refusal(table, rows, error) from error
        raise AssertionError("unreachable")

    def version(self, table: Table) -> str:
        """See `Store.version`: the Delta version, readable again by time travel."""
        delta = self._existing(table)
        return NO_VERSION if delta is None else str(delta.version())

    def as_of(self, table: Table, version: str) -> Lake:
        """See `Store.as_of`: Delta's time travel."""
        past = Lake(self._url, self._options)
        try:
            past._pinned[table.name] = self._at(table, int(version))
        except (DeltaError, OSError, ValueError) as error:
            raise StoreError(
                f"version {version} of {table.name} at {self._url} cannot be read any more: {told(error)}"
            ) from error
        return past

    def query(self, statement: str) -> pl.DataFrame:
        """See `Store.query`."""
        return sql.select(statement, self._source)

    def spans(self, table: Table) -> dict[str, tuple[datetime, datetime]]:
        """See `Store.spans`: from the log where it tells them."""
        delta = self._existing(table)
        known = known_spans(delta, table) if delta is not None else {}
        if known is not None:
            return known
        held = f"SELECT currency, min({table.time}) AS first, max({table.time}) AS newest FROM {table.name} GROUP BY 1"
        return {currency: (first, newest) for currency, first, newest in self.query(held).iter_rows()}

    def maintain(self, table: Table, *, history: timedelta, keep: Collection[str] = ()) -> dict[str, int]:
        """See `Store.maintain`: small files are merged, files only expired versions name are deleted."""
        delta = self._existing(table)
        if delta is None:
            return {}
        try:
            held = [version for version in map(int, keep) if self._holds(table, version)]
            return lake_upkeep.maintain(self._ensure(table), table, history=history, keep=held)
        except (DeltaError, OSError) as error:
            raise StoreError(f"cannot maintain {table.name} at {self._url}: {told(error)}") from error

    def snapshot(self, table: Table) -> TableSnapshot | None:
        """The table's present version, None when nothing was ever written to it."""
        delta = self._existing(table)
        return None if delta is None else snapshot(delta, table)

    def _holds(self, table: Table, version: int) -> bool:
        """Whether a version can still be read: one lost before logs were kept must not stop the upkeep."""
        try:
            self._at(table, version)
        except DeltaError:
            return False
        return True

    def _at(self, table: Table, version: int) -> DeltaTable:
        return DeltaTable(f"{self._url}/{table.name}", version=version, storage_options=self._options)

    def _require_room(self, rows: pl.DataFrame) -> None:
        """Refuse before the disk is full: Delta's writer, failing half way, litters stderr with a panic of its own."""
        if not is_s3(self._url) and shutil.disk_usage(self._url).free < rows.estimated_size() + SPARE_BYTES:
            raise self._no_room("no space left on device")

    def _refusal(self, table: Table, rows: pl.DataFrame, error: Exception) -> StoreError:
        if is_full(error):
            return self._no_room(told(error))
        if isinstance(error, OSError):
            return StoreError(f"cannot write to the store at {self._url}: {told(error)}")
        return StoreError(f"table {table.name} refused the rows: {broken_rules(table, rows) or told(error)}")

    def _no_room(self, reason: str) -> StoreError:
        return StoreError(f"no room in the store at {self._url}: {reason}; {MAKE_ROOM}")

    def _source(self, table: Table) -> Any:
        delta = self._existing(table)
        return sql.empty(table) if delta is None else delta.to_pyarrow_dataset()

    def _existing(self, table: Table) -> DeltaTable | None:
        if table.name in self._pinned:
            return self._pinned[table.name]
        opened = self._opened.get(table.name)
        try:
            if opened is not None:
                opened.update_incremental()
                return opened
            opened = DeltaTable(f"{self._url}/{table.name}", storage_options=self._options)
        except TableNotFoundError:
            self._opened.pop(table.name, None)
            return None
        except (DeltaError, OSError) as error:
            raise StoreError(f"cannot read the store at {self._url}: {told(error)}") from error
        self._opened[table.name] = opened
        return opened

    def _ensure(self, table: Table) -> DeltaTable:
        """The table, made when absent, holding every rule: its maker may have been killed before it was done."""
        for attempt in range(COMMIT_RETRIES):
            try:
                delta = self._existing(table) or self._create(table)
                absent = _absent(table, delta)
                if absent:
                    delta.alter.add_columns(
                        [Field.from_arrow(one) for one in _arrow_schema(table) if one.name in absent]
                    )
                held = delta.metadata().configuration
                missing = {name: rule for name, rule in table.rules.items() if f"delta.constraints.{name}" not in held}
                if missing:
                    delta.alter.add_constraint(missing)
                return delta
            except CommitFailedError:
                self._opened.pop(table.name, None)
                time.sleep(0.05 * 2**attempt)
            except (DeltaError, OSError) as error:
                if is_full(error):
                    raise self._no_room(told(error)) from error
                raise StoreError(f"cannot create {table.name} at {self._url}: {told(error)}") from error
        raise StoreError(f"table {table.name}: other writers kept winning; run it again")

    def _as_of(self, table: Table, version: str) -> DeltaTable:
        """The table at a version: Delta refuses a write made of it when another has come in between."""
        delta = self._ensure(table)
        if version != NO_VERSION:
            return self._at(table, int(version))
        if delta.file_uris():
            raise Overtaken(f"table {table.name}: somebody else wrote its first rows; run it again")
        return delta

    def _create(self, table: Table) -> DeltaTable:
        address = f"{self._url}/{table.name}"
        partition_by = list(table.partition_by) or None
        DeltaTable.create(
            address,
            schema=_arrow_schema(table),
            partition_by=partition_by,
            mode="ignore",
            configuration=lake_upkeep.properties(lake_upkeep.HISTORY),
            storage_options=self._options,
        )
        self._opened[table.name] = DeltaTable(address, storage_options=self._options)
        return self._opened[table.name]


def _arrow_schema(table: Table) -> Any:
    return pl.DataFrame(schema=table.schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema


def _absent(table: Table, delta: DeltaTable) -> list[str]:
    """Columns that a table made by an earlier version of this program does not have yet."""
    held = {one.name for one in delta.schema().fields}
    return [name for name in table.schema if name not in held]


def _predicate(
    table: Table, start: datetime | None, end: datetime | None, equal: Mapping[str, str | Sequence[str]]
) -> str:
    parts = [f"{name} IN ({_quoted(value)})" if value else "false" for name, value in equal.items()]
    parts += [f"{table.time} >= {_instant(start)}"] if start is not None else []
    parts += [f"{table.time} < {_instant(end)}"] if end is not None else []
    return " AND ".join(parts) or "true"


def _quoted(value: str | Sequence[str]) -> str:
    values = [value] if isinstance(value, str) else value
    return ", ".join("'" + one.replace("'", "''") + "'" for one in values)


def _instant(moment: datetime) -> str:
    return f"'{moment.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}'"

"""The store on PostgreSQL.

A write reads the span it replaces and sends only what differs, in one transaction: into an empty
span that is a bare COPY, and a re-run that changes nothing writes nothing. Writers of one span
wait for each other, writers of different currencies do not. Row rules are CHECK constraints and
keys are primary keys of the tables themselves, so whatever writes to them is held to them.

`indicators` is a partitioned table, each currency in its own `indicators_<currency>`, made with
its first row. The name is lower case, so SQL finds it however the currency is written without
quotes: `indicators_BTCUSDT` and `indicators_btcusdt` are one table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from adbc_driver_manager import Error

from cryptobot_assets.domain.klines import UTC_TIME
from cryptobot_assets.errors import Overtaken, StoreError
from cryptobot_assets.storage import sql
from cryptobot_assets.storage.postgres_address import parse_address
from cryptobot_assets.storage.postgres_connection import (
    NO_RIGHTS,
    UNDEFINED_COLUMN,
    UNDEFINED_TABLE,
    Cursor,
    PostgresConnections,
    text_literal,
)
from cryptobot_assets.storage.postgres_scan import PostgresScans
from cryptobot_assets.storage.postgres_statements import COUNTS, SPANS, condition
from cryptobot_assets.storage.rules import broken_rules, require_frame, require_rows
from cryptobot_assets.storage.store import INDICATORS, NO_VERSION, Address, Table

REVISION = "0005"
"""The newest migration, which this code reads and writes."""

Equal = dict[str, str | Sequence[str]]


class PostgresStore:
    """A `Store` in one database; its tables are made on first use by a user who may."""

    def __init__(self, url: str) -> None:
        self._connections = PostgresConnections(parse_address(url))
        self._place = self._connections.address.place
        self._current = False
        self._own_tables: set[str] = set()

    @classmethod
    def at(cls, address: Address) -> PostgresStore:
        """The store in the database at an address."""
        return cls(address.url)

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
        where = condition(table, start, end, equal)
        try:
            rows = self._connections.run(lambda cursor: _fetch(cursor, table, chosen, where, _known(equal)))
        except Error as error:
            if error.sqlstate == UNDEFINED_TABLE:
                return pl.DataFrame(schema={name: table.schema[name] for name in chosen})
            raise self._failure(error) from error
        return rows.sort(table.key).select(chosen)

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
        """See `Store.replace`. The version stays when nothing differs from what is held."""
        rows = require_rows(table, rows, start, end, equal)
        try:
            self._ensure(table, rows)
            self._connections.run(lambda cursor: _replace(cursor, table, rows, start, end, equal, since), patient=True)
        except Error as error:
            reason = broken_rules(table, rows) if (error.sqlstate or "").startswith("23") else ""
            if reason:
                raise StoreError(f"table {table.name} refused the rows: {reason}") from error
            raise self._failure(error, f"table {table.name}: ") from error
        return rows.height

    def version(self, table: Table) -> str:
        """See `Store.version`: how many writes have changed the table."""
        try:
            return self._connections.run(lambda cursor: _version(cursor, table))
        except Error as error:
            if error.sqlstate == UNDEFINED_TABLE:
                return NO_VERSION
            raise self._failure(error) from error

    def as_of(self, table: Table, version: str) -> PostgresStore:
        """See `Store.as_of`: rows are replaced for good here."""
        return self

    def query(self, statement: str) -> pl.DataFrame:
        """See `Store.query`. All tables are read as of one instant."""
        try:
            with PostgresScans(self._connections) as scans:
                return sql.select(statement, scans.dataset)
        except Error as error:
            raise self._failure(error) from error

    def spans(self, table: Table) -> dict[str, tuple[datetime, datetime]]:
        """See `Store.spans`: looked up in the index, currency by currency."""
        try:
            rows = self._connections.run(lambda cursor: _rows(cursor, SPANS.format(table=table.name, time=table.time)))
        except Error as error:
            if error.sqlstate == UNDEFINED_TABLE:
                return {}
            raise self._failure(error) from error
        return {currency: (first, newest) for currency, first, newest in rows.iter_rows()}

    def counts(
        self,
        table: Table,
        *,
        every: str,
        start: datetime | None = None,
        end: datetime | None = None,
        **equal: str | Sequence[str],
    ) -> pl.DataFrame:
        """See `Store.counts`: the server counts."""
        counted = COUNTS.format(
            table=table.name, time=table.time, every=every, where=condition(table, start, end, equal)
        )
        kinds = {"currency": pl.String(), "time": UTC_TIME, "rows": pl.Int64()}
        try:
            rows = self._connections.run(lambda cursor: _rows(cursor, counted))
        except Error as error:
            if error.sqlstate == UNDEFINED_TABLE:
                return pl.DataFrame(schema=kinds)
            raise self._failure(error) from error
        return rows.select(pl.col(name).cast(kind) for name, kind in kinds.items()).sort("currency", "time")

    def maintain(self, table: Table, *, history: timedelta, keep: Collection[str] = ()) -> dict[str, int]:
        """See `Store.maintain`: fresh statistics; dead rows the server clears by itself.

        It never looks at a partitioned table as a whole, by which queries over all currencies are planned.
        """
        try:
            self._connections.run(lambda cursor: _run(cursor, f"ANALYZE {table.name}"))
        except Error as error:
            if error.sqlstate == UNDEFINED_TABLE:
                return {}
            raise self._failure(error) from error
        return {"tables_analyzed": 1}

    def close(self) -> None:
        """Close the connections; the store can be used again."""
        self._connections.close()

    def _ensure(self, table: Table, rows: pl.DataFrame) -> None:
        """The tables, of the revision this code knows, and the own tables of currencies."""
        if not self._current:
            if self._revision() != REVISION:
                self._upgrade()
            self._current = True
        if table is INDICATORS:
            for currency in rows["currency"].drop_nulls().unique().sort().to_list():
                self._ensure_own_table(currency)

    def _revision(self) -> str | None:
        try:
            found: str | None = self._connections.run(
                lambda cursor: _value(cursor, "SELECT version_num FROM cryptobot_alembic_version"), patient=True
            )
        except Error as error:
            if error.sqlstate == UNDEFINED_TABLE:
                return None
            raise
        return found

    def _upgrade(self) -> None:
        from cryptobot_assets.storage.postgres_schema import upgrade  # costs a second to import, needed once

        upgrade(self._connections.address)

    def _ensure_own_table(self, currency: str) -> None:
        if currency in self._own_tables:
            return
        if len(currency.encode()) > LONGEST_CURRENCY:
            raise StoreError(f"table indicators: {currency!r} is too long for a table of its own")
        made = f"SELECT cryptobot_make_indicators({text_literal(currency)})::text"
        self._connections.run(lambda cursor: _value(cursor, made), patient=True)
        self._own_tables.add(currency)

    def _failure(self, error: Error, prefix: str = "") -> StoreError:
        if error.sqlstate in (UNDEFINED_COLUMN, UNDEFINED_TABLE):
            return StoreError(f"the tables at {self._place} are not up to date: let their owner write once")
        failure = self._connections.failure(error)
        return StoreError(f"{prefix}{failure}") if error.sqlstate and error.sqlstate != NO_RIGHTS else failure


LONGEST_CURRENCY = 63 - len("indicators_")


def _known(equal: Equal) -> dict[str, str]:
    """Columns that have one value in all of a span."""
    return {name: value for name, value in equal.items() if isinstance(value, str)}


def _fetch(cursor: Cursor, table: Table, columns: list[str], where: str, known: dict[str, str]) -> pl.DataFrame:
    """The columns and the key, unsorted; a column of one known value is not sent."""
    names = [name for name in table.schema if name in {*columns, *table.key}]
    sent = [name for name in names if name not in known]
    rows = _rows(cursor, f"SELECT {_list(sent)} FROM {table.name} WHERE {where}")
    return rows.select(
        (pl.lit(known[name]).alias(name) if name in known else pl.col(name)).cast(table.schema[name]) for name in names
    )


def _version(cursor: Cursor, table: Table) -> str:
    counted = f"SELECT sum(writes)::bigint FROM cryptobot_writes WHERE table_name = {text_literal(table.name)}"
    return str(_value(cursor, counted) or NO_VERSION)


def _replace(
    cursor: Cursor,
    table: Table,
    rows: pl.DataFrame,
    start: datetime | None,
    end: datetime | None,
    equal: Equal,
    since: str | None,
) -> None:
    part = equal.get(table.partition_by[0], "") if table.partition_by else ""
    parts = [part] if isinstance(part, str) else sorted(part)
    _lock(cursor, table, parts)
    if since is not None and since != _version(cursor, table):
        raise Overtaken(f"table {table.name}: somebody else wrote to it; run it again")
    held = _fetch(cursor, table, list(table.schema), condition(table, start, end, equal), _known(equal))
    if held.sort(table.key).equals(rows):
        return
    gone = held.join(rows, on=table.key, how="anti")
    changed = rows.join(held, on=list(table.schema), how="anti", nulls_equal=True) if held.height else rows
    if gone.height:
        _send(cursor, table, gone.select(table.key), f"gone_{table.name}")
        same = " AND ".join(f't."{name}" = s."{name}"' for name in table.key)
        _run(cursor, f"DELETE FROM {table.name} t USING gone_{table.name} s WHERE {same}")
        _run(cursor, f"DROP TABLE gone_{table.name}")
    if changed.height and held.height:
        _send(cursor, table, changed, f"changed_{table.name}")
        others = ", ".join(f'"{name}" = excluded."{name}"' for name in table.schema if name not in table.key)
        _run(
            cursor,
            f"INSERT INTO {table.name} ({_list(table.schema)}) SELECT {_list(table.schema)} FROM changed_{table.name} "
            f"ON CONFLICT ({_list(table.key)}) DO UPDATE SET {others}",
        )
        _run(cursor, f"DROP TABLE changed_{table.name}")
    elif changed.height:
        _ingest(cursor, table.name, changed)
    counts = ", ".join(f"({text_literal(table.name)}, {text_literal(one)}, 1)" for one in parts)
    _run(
        cursor,
        f"INSERT INTO cryptobot_writes AS w VALUES {counts} "
        "ON CONFLICT (table_name, part) DO UPDATE SET writes = w.writes + 1",
    )


def _lock(cursor: Cursor, table: Table, parts: Sequence[str]) -> None:
    """Keep other writers of these parts out until the transaction ends; of no named part, all writers of the table.

    The parts come sorted, so that two writers never wait for each other.
    """
    named = [part for part in parts if part]
    mode = "_shared" if named else ""
    _value(cursor, f"SELECT pg_advisory_xact_lock{mode}({_lock_key(table.name)})::text")
    for part in named:
        _value(cursor, f"SELECT pg_advisory_xact_lock({_lock_key(f'{table.name}/{part}')})::text")


def _lock_key(name: str) -> str:
    return f"hashtextextended({text_literal(f'cryptobot {name}')}, 0)"


def _send(cursor: Cursor, table: Table, rows: pl.DataFrame, name: str) -> None:
    """Rows into a temporary table with the types of `table`."""
    _run(cursor, f"CREATE TEMPORARY TABLE {name} AS SELECT {_list(rows.columns)} FROM {table.name} WITH NO DATA")
    _ingest(cursor, name, rows, temporary=True)


def _ingest(cursor: Cursor, name: str, rows: pl.DataFrame, *, temporary: bool = False) -> None:
    arrow = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    cursor.adbc_ingest(name, arrow, mode="append", temporary=temporary)


def _run(cursor: Cursor, statement: str) -> None:
    cursor.execute(statement)


def _rows(cursor: Cursor, statement: str) -> pl.DataFrame:
    cursor.execute(statement)
    return require_frame(pl.from_arrow(cursor.fetch_arrow_table()))


def _value(cursor: Cursor, statement: str) -> Any:
    cursor.execute(statement)
    row = cursor.fetchone()
    return row[0] if row else None


def _list(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)

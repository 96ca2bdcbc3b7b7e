"""A PostgreSQL store in a backup: the rows of its tables as COPY gives them, all as of one transaction.

Not pg_dump: that needs a program of the server's version or a newer one, cannot tell our tables and
functions from others in the same schema, and starts anew each day. Here the tables' shape is what
the migrations make of the revision they had, and the rows travel in the order they lie in, so that
a day's backup of a table that grew costs a day's rows. Restoring is one transaction: old tables go,
the migrations make them anew with roles, rights, keys and rules, the rows come in, are counted, and
the migrations bring them to today's revision. Whoever asks meanwhile waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import RawIOBase
from typing import Any

import psycopg2
import sqlalchemy as sa
from psycopg2 import errors, sql

from cryptobot_assets.errors import BadBackup, StoreError
from cryptobot_assets.storage.backup_manifest import Manifest
from cryptobot_assets.storage.backup_objects import ObjectReader, ObjectWriter, Tell
from cryptobot_assets.storage.backup_rows import Cursor, one_row
from cryptobot_assets.storage.postgres_address import PostgresAddress, parse_address
from cryptobot_assets.storage.store import EXCHANGE_CLIENTS, INDICATORS, TABLES

KIND = "postgresql"
FOLDER = "tables"
WRITES = "cryptobot_writes"
LOCK_SECONDS = 30
READ_BYTES = 1_000_000
SESSION = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET extra_float_digits = 1; SET synchronize_seqscans = off"


class TablesSource:
    """The tables of a store as of one instant, to be put into a backup; close it."""

    def __init__(self, url: str) -> None:
        self._address = parse_address(url)
        self._tables: dict[str, Any] = {}
        with plain_errors(self._address):
            self._connection = psycopg2.connect(self._address.libpq, options="-c statement_timeout=0")
            self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with self._connection.cursor() as cursor:
                cursor.execute(SESSION)
                self._revision = _revision(cursor)
                self._names = [name for name in (*TABLES, WRITES) if self._revision and _exists(cursor, name)]
                self._currencies = _own_tables(cursor) if INDICATORS.name in self._names else []
                self.size = sum(_size(cursor, name) for name in self._names)

    def close(self) -> None:
        """End the transaction."""
        self._connection.close()

    def capture(self, writer: ObjectWriter) -> None:
        """Put the rows into a backup."""
        for name in self._names:
            with plain_errors(self._address), self._connection.cursor() as cursor:
                columns = _columns(cursor, name)
                with writer.add_lines(f"{FOLDER}/{name}") as lines:
                    chosen = sql.SQL(", ").join(map(sql.Identifier, columns))
                    rows = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(chosen, sql.Identifier(name))
                    cursor.copy_expert(rows.as_string(cursor), lines)
                self._tables[name] = {"columns": columns, "rows": cursor.rowcount, **_times(cursor, name)}

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the store; of what was captured."""
        return {
            "kind": KIND,
            "place": f"postgresql://{self._address.place}",
            "revision": self._revision,
            "currencies": self._currencies,
            "tables": self._tables,
        }


def with_rows(url: str) -> list[str]:
    """Names of the tables that have rows."""
    address = parse_address(url)
    with plain_errors(address), closing(psycopg2.connect(address.libpq)) as server, server.cursor() as cursor:
        return [name for name in TABLES if _exists(cursor, name) and _has_rows(cursor, name)]


def restore_tables(url: str, manifest: Manifest, reader: ObjectReader, tell: Tell) -> None:
    """Put a backup's tables in place of those of the store at an address, in one transaction.

    Raises:
        BadBackup: a table has not the rows the manifest says.
        StoreError: the server refuses, or this program does not know the tables' revision.
    """
    from cryptobot_assets.storage.postgres_schema import migrate, migrating  # costs a second to import, needed once

    address, store = parse_address(url), manifest.store
    with plain_errors(address), migrating(address) as connection:
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        _drop(connection)
        if not store["revision"]:
            return
        migrate(connection, store["revision"], of=f"of backup {manifest.name}")
        with _own_connection(connection).cursor() as cursor:
            for currency in store["currencies"]:
                cursor.execute("SELECT cryptobot_make_indicators(%s)", (currency,))
            for name, facts in store["tables"].items():
                _load(cursor, name, facts, manifest, reader, tell)
        migrate(connection, "head", of=f"of backup {manifest.name}")


def _own_connection(connection: sa.Connection) -> psycopg2.extensions.connection:
    """The connection of psycopg2 below one of SQLAlchemy."""
    below: psycopg2.extensions.connection | None = connection.connection.driver_connection
    if below is None:
        raise StoreError("the connection was lost")
    return below


def _load(
    cursor: Cursor, name: str, facts: dict[str, Any], manifest: Manifest, reader: ObjectReader, tell: Tell
) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, facts["columns"]))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(name), columns)
    (entry,) = (one for one in manifest.entries if one.path == f"{FOLDER}/{name}")
    cursor.execute(SESSION)
    rows = _Blocks(reader.blocks(entry), lambda size: tell(size, name))
    try:
        cursor.copy_expert(statement.as_string(cursor), rows, READ_BYTES)
    except psycopg2.Error:
        if rows.failure is not None:
            raise rows.failure from None
        raise
    if cursor.rowcount != facts["rows"]:
        raise BadBackup(f"backup {manifest.name}: {cursor.rowcount:,} rows of {name}, not {facts['rows']:,}")


class _Blocks(RawIOBase):
    """Blocks as COPY reads them: so many bytes at a time.

    `failure` is what kept it from reading on: the server only hears that something did.
    """

    def __init__(self, blocks: Iterator[bytes], tell: Any) -> None:
        self._blocks = blocks
        self._tell = tell
        self._rest = memoryview(b"")
        self.failure: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, none at the end."""
        try:
            while not self._rest:
                block = next(self._blocks, None)
                if block is None:
                    return b""
                self._rest = memoryview(block)
                self._tell(len(block))
        except BaseException as error:
            self.failure = error
            raise
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)


def _drop(connection: sa.Connection) -> None:
    """Drop what the migrations make, as far as it is there; nobody else's tables, and no role."""
    names = ", ".join((*TABLES, EXCHANGE_CLIENTS.name, WRITES, "cryptobot_alembic_version"))
    connection.execute(sa.text(f"DROP TABLE IF EXISTS {names}"))
    ours = "proname LIKE 'cryptobot\\_%' AND pronamespace = current_schema::regnamespace"
    for (name,) in connection.execute(sa.text(f"SELECT oid::regprocedure::text FROM pg_proc WHERE {ours}")).all():
        connection.execute(sa.text(f"DROP FUNCTION {name}"))


def _revision(cursor: Cursor) -> str | None:
    if not _exists(cursor, "cryptobot_alembic_version"):
        return None
    cursor.execute("SELECT version_num FROM cryptobot_alembic_version")
    row = cursor.fetchone()
    return row[0] if row else None


def _exists(cursor: Cursor, name: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
    return bool(one_row(cursor)[0])


def _has_rows(cursor: Cursor, name: str) -> bool:
    cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(name)))
    return bool(one_row(cursor)[0])


def _size(cursor: Cursor, name: str) -> int:
    parts = "SELECT %(name)s::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = %(name)s::regclass"
    cursor.execute(f"SELECT sum(pg_table_size(part))::bigint FROM ({parts}) AS p(part)", {"name": name})
    return int(one_row(cursor)[0])


def _columns(cursor: Cursor, name: str) -> list[str]:
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
        (name,),
    )
    return [row[0] for row in cursor.fetchall()]


def _own_tables(cursor: Cursor) -> list[str]:
    """Currencies that have a table of their own among the indicators."""
    cursor.execute(
        "SELECT substring(pg_get_expr(relpartbound, oid) FROM '^FOR VALUES IN \\(''(.*)''\\)$') FROM pg_class "
        "WHERE relispartition AND oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %s::regclass) ORDER BY 1",
        (INDICATORS.name,),
    )
    return [row[0].replace("''", "'") for row in cursor.fetchall() if row[0]]


def _times(cursor: Cursor, name: str) -> dict[str, str | None]:
    if name not in TABLES:
        return {}
    time = sql.Identifier(TABLES[name].time)
    cursor.execute(sql.SQL("SELECT min({0}), max({0}) FROM {1}").format(time, sql.Identifier(name)))
    first, newest = one_row(cursor)
    return {"first": first.isoformat() if first else None, "newest": newest.isoformat() if newest else None}


@contextmanager
def plain_errors(address: PostgresAddress) -> Iterator[None]:
    """Inside, what PostgreSQL refuses becomes one line of `StoreError`, without the password."""
    try:
        yield
    except psycopg2.Error as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        advice = ": stop what uses its tables" if isinstance(error, errors.LockNotAvailable) else ""
        raise StoreError(f"the store at {address.place} refuses{advice}: {address.without_secrets(said)}") from error

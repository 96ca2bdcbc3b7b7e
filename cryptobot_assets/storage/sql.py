"""One read-only SQL statement over the tables of any store. The one home of duckdb.

DuckDB reads the store's tables as Arrow and asks only for the columns and rows it needs, so the
dialect is the same whichever engine holds them. It is let near nothing else: no file, no network,
no Python variable, no writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import polars as pl

from cryptobot_assets.errors import UsageError
from cryptobot_assets.storage.rules import require_frame, told
from cryptobot_assets.storage.store import TABLES, Table

READ_ONLY_STATEMENTS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}

Source = Callable[[Table], Any]
"""What DuckDB scans for a table: anything of Arrow, a dataset where columns and rows are to be chosen."""


def select(sql: str, source: Source) -> pl.DataFrame:
    """The answer to one SELECT over the tables; times are UTC.

    Raises:
        UsageError: it is not one SELECT, or DuckDB cannot answer it.
    """
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _require_select(connection, sql)
        for table in TABLES.values():
            connection.register(table.name, source(table))
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        with _plain_errors():
            return require_frame(pl.from_arrow(connection.sql(sql).to_arrow_table()))


def empty(table: Table) -> Any:
    """The source of a table that nothing was written to yet."""
    return pl.DataFrame(schema=table.schema).to_arrow()


def _require_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with _plain_errors():
        statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type not in READ_ONLY_STATEMENTS:
        raise UsageError("SQL: give one SELECT statement; the tables are read-only here")


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise UsageError(f"SQL: {told(error)}") from error

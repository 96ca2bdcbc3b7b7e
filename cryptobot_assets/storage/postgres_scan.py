"""PostgreSQL's tables as DuckDB scans them: only the columns it asks for, only the times and currencies.

DuckDB hands its filters over as an Arrow expression. What bounds times or names values in it
becomes SQL's WHERE; the whole expression is then applied to what comes back, so a filter that is
not understood here costs time and never an answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from cryptobot_assets.storage.postgres_connection import Cursor, PostgresConnections, text_literal
from cryptobot_assets.storage.store import Table

VALUE = r'"([^"\\]*)"'
BOUND = re.compile(r"^\((\w+) (>=|>|<=|<|==) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)Z\)$")
EQUAL = re.compile(rf"^\((\w+) == {VALUE}\)$")
AMONG = re.compile(r"^if_else\(is_valid\((\w+)\), is_in\(\1, \{value_set=\w+:\[(.*)\], [^{}]*\}\), null\[bool\]\)$")
PLAIN = re.compile(r"^[\w.:/-]*$")


class PostgresScans:
    """The scans of one statement, all as of one instant; a context manager."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections
        self._opened = ExitStack()
        self._snapshot = ""

    def __enter__(self) -> PostgresScans:
        with ExitStack() as opening:
            cursor = self._cursor(opening)
            cursor.execute("SELECT pg_export_snapshot()")
            self._snapshot = cursor.fetchone()[0]
            self._opened = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def dataset(self, table: Table) -> ds.Dataset:
        """What DuckDB scans for a table."""
        return PostgresDataset(table, self)

    def read(self, table: Table, columns: Sequence[str], where: str) -> pa.RecordBatchReader:
        """Rows as they come, with at least the columns asked for."""
        cursor = self._cursor(self._opened)
        cursor.execute(f"SELECT to_regclass({text_literal(table.name)}) IS NOT NULL")
        if not cursor.fetchone()[0]:
            return arrow_schema(table, columns).empty_table().to_reader()
        names = ", ".join(f'"{name}"' for name in columns)
        cursor.execute(f"SELECT {names} FROM {table.name} WHERE {where}")
        reader = cursor.fetch_record_batch()
        schema = arrow_schema(table, columns)
        return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in reader))

    def _cursor(self, stack: ExitStack) -> Cursor:
        """A cursor of a new connection, which sees what the first one saw; both close with the scans."""
        connection = self._connections.open()
        stack.callback(connection.close)
        cursor = stack.enter_context(connection.cursor())
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if self._snapshot:
            cursor.execute(f"SET TRANSACTION SNAPSHOT {text_literal(self._snapshot)}")
        return cursor


class PostgresDataset(ds.Dataset):
    """A table, as far as DuckDB looks at datasets: a schema and a scanner."""

    def __init__(self, table: Table, scans: PostgresScans) -> None:
        self._table = table
        self._scans = scans

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return arrow_schema(self._table, list(self._table.schema))

    def scanner(
        self,
        columns: Sequence[str] | None = None,
        filter: pc.Expression | None = None,  # noqa: A002 what DuckDB calls it
        **_: Any,
    ) -> ds.Scanner:
        """Rows that pass the filter."""
        text = "" if filter is None else str(filter)
        chosen = list(self._table.schema if columns is None else columns)
        words = set(re.findall(r"\w+", text))
        needed = [name for name in self._table.schema if name in words or name in chosen] or [self._table.time]
        reader = self._scans.read(self._table, needed, " AND ".join(conditions(text, self._table)) or "true")
        return ds.Scanner.from_batches(reader, columns=chosen, filter=filter)


def conditions(text: str, table: Table) -> list[str]:
    """Conditions in SQL that every row passing the filter meets; not all there are."""
    if text.count('"') != 2 * len(re.findall(r'"[\w.:/-]*"', text)) or "..." in text:
        return []
    found = (_condition(part, table) for part in conjuncts(" ".join(text.split())))
    return [one for one in found if one]


def conjuncts(text: str) -> list[str]:
    """The parts of `((a and b) and c)`; a part that is none of these forms is left whole."""
    if not text.startswith("("):
        return [text]
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 1 and text.startswith(" and ", place):
            return conjuncts(text[1:place]) + conjuncts(text[place + 5 : -1])
    return [text]


def _condition(part: str, table: Table) -> str | None:
    if (bound := BOUND.match(part)) and bound[1] == table.time:
        return f"{table.time} {'=' if bound[2] == '==' else bound[2]} timestamptz '{bound[3]}+00'"
    if (equal := EQUAL.match(part)) and table.schema.get(equal[1]) == pl.String():
        return f'"{equal[1]}" = {text_literal(equal[2])}'
    if (among := AMONG.match(part)) and table.schema.get(among[1]) == pl.String():
        return f'"{among[1]}" IN ({", ".join(map(text_literal, re.findall(VALUE, among[2])))})'
    return None


def arrow_schema(table: Table, columns: Sequence[str]) -> pa.Schema:
    """Columns of a table in Arrow's types."""
    empty = pl.DataFrame(schema={name: table.schema[name] for name in columns})
    return empty.to_arrow(compat_level=pl.CompatLevel.oldest()).schema

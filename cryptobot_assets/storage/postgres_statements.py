"""Statements that a store on PostgreSQL sends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptobot_assets.storage.postgres_connection import text_literal
from cryptobot_assets.storage.store import Table

SPANS = """
WITH RECURSIVE held AS (
    SELECT min(currency) AS currency FROM {table}
    UNION ALL
    SELECT (SELECT min(t.currency) FROM {table} t WHERE t.currency > held.currency) FROM held
    WHERE held.currency IS NOT NULL
)
SELECT currency,
    (SELECT min({time}) FROM {table} t WHERE t.currency = held.currency) AS first,
    (SELECT max({time}) FROM {table} t WHERE t.currency = held.currency) AS newest
FROM held WHERE currency IS NOT NULL ORDER BY currency
"""


COUNTS = """
SELECT currency, date_trunc('{every}', {time}, 'UTC') AS time, count(*) AS rows
FROM {table} WHERE {where} GROUP BY 1, 2
"""


def condition(table: Table, start: datetime | None, end: datetime | None, equal: dict[str, str | Sequence[str]]) -> str:
    """A span of rows in SQL."""
    parts = []
    for name, value in equal.items():
        values = [value] if isinstance(value, str) else list(value)
        parts.append(f'"{name}" IN ({", ".join(map(text_literal, values))})' if values else "false")
    parts += [f"{table.time} >= {instant(start)}"] if start is not None else []
    parts += [f"{table.time} < {instant(end)}"] if end is not None else []
    return " AND ".join(parts) or "true"


def instant(moment: datetime) -> str:
    """An instant in SQL."""
    return f"timestamptz '{moment.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S.%f')}+00'"

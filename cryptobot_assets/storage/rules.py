"""What every store asks of rows before it writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from cryptobot_assets.errors import StoreError
from cryptobot_assets.storage.store import Table

COLOUR = re.compile("\x1b\\[[0-9;]*m")
CAUSE = "\u21b3"
ANSWERED = re.compile("<Message>([^<]+)</Message>")


def require_frame(found: pl.DataFrame | pl.Series) -> pl.DataFrame:
    """What Polars made of an Arrow table, of which it always makes a frame."""
    if isinstance(found, pl.Series):
        raise StoreError(f"rows were asked for, and one column came: {found.name}")
    return found


def require_rows(
    table: Table,
    rows: pl.DataFrame,
    start: datetime | None,
    end: datetime | None,
    equal: Mapping[str, str | Sequence[str]],
) -> pl.DataFrame:
    """The rows as the table holds them: its columns and types, sorted by key.

    Raises:
        StoreError: one lies outside the span they are to replace, or two have the same key.
    """
    rows = rows.select(pl.col(name).cast(kind) for name, kind in table.schema.items())
    inside = [pl.col(name).is_in([value] if isinstance(value, str) else list(value)) for name, value in equal.items()]
    inside += [pl.col(table.time) >= start] if start is not None else []
    inside += [pl.col(table.time) < end] if end is not None else []
    if inside and rows.height and not rows.select(pl.all_horizontal(inside).all()).item():
        raise StoreError(f"table {table.name}: rows outside the span they were to replace")
    if rows.select(keys_rise(table.key).all()).item():
        return rows
    rows = rows.sort(table.key)
    if rows.select(_repeats(table.key).any()).item():
        raise StoreError(f"table {table.name}: rows repeat a key ({', '.join(table.key)})")
    return rows


def keys_rise(key: Sequence[str]) -> pl.Expr:
    """Where a row's key is above that of the row before it; a key without a value is above none."""
    rises = pl.lit(False)
    for name in reversed(key):
        value, before = pl.col(name), pl.col(name).shift(1)
        rises = (value > before) | ((value == before) & rises)
    return rises.fill_null(False) | (pl.int_range(pl.len()) == 0)


def _repeats(key: Sequence[str]) -> pl.Expr:
    """Where a row of a sorted table has the key of the row before it."""
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in key)
    return same & (pl.int_range(pl.len()) > 0)


def broken_rules(table: Table, rows: pl.DataFrame) -> str:
    """Names of the rules that some row breaks."""
    return ", ".join(name for name, rule in table.rules.items() if rows.filter(~pl.sql_expr(rule)).height)


def told(error: Exception) -> str:
    """What a library said, in one line: its first, or the innermost cause where it draws a chain of them."""
    lines = [line.strip() for line in COLOUR.sub("", str(error)).splitlines() if line.strip()]
    causes = [line.removeprefix(CAUSE).strip() for line in lines if line.startswith(CAUSE)]
    answered = ANSWERED.search(str(error))
    if causes:
        return f"{lines[0]}: {answered[1] if answered else causes[-1]}"
    return lines[0] if lines else type(error).__name__

"""The files of a lake's table: how rows are laid out in them, and what the log tells of each."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from deltalake import ColumnProperties, DeltaTable, WriterProperties

from cryptobot_assets.domain.klines import UTC_TIME
from cryptobot_assets.storage.store import Table

NAMES = ColumnProperties(dictionary_enabled=True)
TIMES = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
NUMBERS = ColumnProperties(dictionary_enabled=False)
ROWS = 2**17
"""In a group of rows: readers skip groups outside the time they ask for; three months of minutes."""


def layout(table: Table) -> WriterProperties:
    """How rows become Parquet: names through a dictionary, times by their differences, numbers as they are.

    A dictionary of numbers that hardly repeat takes half of a write's time and only adds to its size.
    """
    columns = {name: NAMES for name, kind in table.schema.items() if kind == pl.String()}
    columns |= {name: TIMES for name, kind in table.schema.items() if kind == UTC_TIME}
    return WriterProperties(
        compression="SNAPPY", default_column_properties=NUMBERS, column_properties=columns, max_row_group_size=ROWS
    )


def known_spans(delta: DeltaTable, table: Table) -> dict[str, tuple[datetime, datetime]] | None:
    """First and newest time (to the millisecond) of each currency as the log has them; None where it does not tell."""
    if table.partition_by != ("currency",):
        return None
    files = pl.DataFrame(delta.get_add_actions(flatten=True))
    first, newest = f"min.{table.time}", f"max.{table.time}"
    if not {first, newest} <= set(files.columns) or files[first].has_nulls() or files[newest].has_nulls():
        return None
    held = files.group_by("partition.currency").agg(pl.col(first).min(), pl.col(newest).max())
    return {currency: (start, end) for currency, start, end in held.iter_rows()}

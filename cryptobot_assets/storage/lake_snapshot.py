"""One version of a lake's table, as its log describes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.storage.store import Table


@dataclass(frozen=True)
class TableSnapshot:
    """A version of a table: how many rows it has, their first and newest time, and the files that hold them.

    `files` are names below the table's folder, with their sizes in bytes.
    """

    version: int
    rows: int
    first: datetime | None
    newest: datetime | None
    files: dict[str, int]


def snapshot(delta: DeltaTable, table: Table) -> TableSnapshot:
    """The version that is open: from its log alone, where that counts the rows of every file."""
    files = pl.DataFrame(delta.get_add_actions(flatten=True))
    if files.is_empty():
        return TableSnapshot(delta.version(), 0, None, None, {})
    counted = not files["num_records"].has_nulls()
    return TableSnapshot(
        version=delta.version(),
        rows=int(files["num_records"].sum()) if counted else delta.to_pyarrow_dataset().count_rows(),
        first=_ends(files, f"min.{table.time}")[0],
        newest=_ends(files, f"max.{table.time}")[1],
        files={unquote(path): size for path, size in files.select("path", "size_bytes").iter_rows()},
    )


def _ends(files: pl.DataFrame, column: str) -> tuple[datetime | None, datetime | None]:
    """Least and greatest of what the log says of every file; None where it says nothing of some."""
    if column not in files.columns or files[column].has_nulls():
        return None, None
    return (earliest(files[column]), latest(files[column])) if files.height else (None, None)

"""`cryptobot sql`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import polars as pl

from cryptobot_assets.errors import UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import open_store

CSV_ROWS = 100_000
"""Written at a time."""


def run_sql(settings: Settings, query: str, kind: str, out: Path | None) -> None:
    """Run one SELECT and print its rows, or write them to a file."""
    if out is None and kind == "parquet" and sys.stdout.isatty():
        raise UsageError("parquet is binary: name a file with --out")
    rows = open_store(settings).query(query)
    with _opened(out) as target:
        if kind == "table":
            target.write(_table(rows).encode())
        elif kind == "csv":
            target.write(rows.clear().write_csv().encode())
            for part in rows.iter_slices(CSV_ROWS):
                target.write(part.write_csv(include_header=False).encode())
        else:
            rows.write_parquet(target)


def _table(rows: pl.DataFrame) -> str:
    with pl.Config(tbl_rows=100, tbl_cols=50, tbl_width_chars=160, fmt_str_lengths=60, tbl_hide_dataframe_shape=True):
        return f"{rows}\n{rows.height:,} rows{', the first and last 50 shown' if rows.height > 100 else ''}\n"


@contextmanager
def _opened(out: Path | None) -> Iterator[BinaryIO]:
    """The file to write, or stdout."""
    if out is None:
        yield sys.stdout.buffer
        return
    try:
        with out.open("wb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error

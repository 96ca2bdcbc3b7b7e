"""`cryptobot sql`."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from cryptobot_assets.errors import UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import open_store


def run_sql(settings: Settings, query: str, kind: str, out: Path | None) -> None:
    """Run one SELECT and print its rows, or write them to a file."""
    rows = open_store(settings).query(query)
    if out is None and kind == "parquet" and sys.stdout.isatty():
        raise UsageError("parquet is binary: name a file with --out")
    if kind == "table":
        with pl.Config(
            tbl_rows=100, tbl_cols=50, tbl_width_chars=160, fmt_str_lengths=60, tbl_hide_dataframe_shape=True
        ):
            text = f"{rows}\n{rows.height:,} rows{', the first and last 50 shown' if rows.height > 100 else ''}\n"
        _write_bytes(text.encode(), out)
    elif kind == "csv":
        _write_bytes(rows.write_csv().encode(), out)
    else:
        rows.write_parquet(out or sys.stdout.buffer)


def _write_bytes(content: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(content)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error

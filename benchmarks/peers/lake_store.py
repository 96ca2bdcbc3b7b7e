"""Our lake as a contestant: one currency's klines, stored as a backfill does, read again by range.

python -m benchmarks.peers.lake_store KLINES.parquet FOLDER [FIRST END]      milliseconds since 1970
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.peers.contestant import serve
from cryptobot_assets.exchange.market import from_ms
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import KLINES

COLUMNS = ("time", "open", "high", "low", "close", "volume")
MEGABYTE = 1e6


def store(klines: pl.DataFrame, lake: Lake) -> None:
    """A commit a month, then the upkeep that merges small files."""
    rows = klines.with_columns(quote_volume=None, trades=None, source=pl.lit("archive"))
    for (month,), part in rows.group_by(pl.col("time").dt.truncate("1mo"), maintain_order=True):
        end = pl.select(pl.lit(month).dt.offset_by("1mo")).item()
        lake.replace(KLINES, part, start=month, end=end, currency=part["currency"][0])
    lake.maintain(KLINES, history=timedelta(0))


def main() -> None:
    """Store once, then read at every turn."""
    source, folder, *bounds = sys.argv[1:]
    lake, klines = Lake(folder), pl.read_parquet(source)
    currency = klines["currency"][0]
    if not Path(folder).exists():
        store(klines, lake)
    start, end = (from_ms(int(bound)) for bound in bounds) if bounds else (None, None)
    size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet")) / MEGABYTE

    def facts(rows: pl.DataFrame) -> dict[str, Any]:
        sums = {name: rows[name].sum() for name in COLUMNS[1:]}
        return {"rows": rows.height, "sums": sums, "mb": size, "note": f"{size:.1f} MB on disk"}

    serve(lambda: lake.read(KLINES, columns=COLUMNS, currency=currency, start=start, end=end), facts)


if __name__ == "__main__":
    main()

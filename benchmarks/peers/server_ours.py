"""Fourteen factors in Polars from a store of this platform that holds daily klines.

    python -m benchmarks.peers.server_ours DAILY FOLDER lake|postgresql SHOWN

The table is `klines` as it always is; its keys need no grid, so daily rows are stored and read as hourly ones are. The
checks of an ingestion, which know 1m and 1h, are not run.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.peers.contestant import serve
from benchmarks.peers.factors import FACTORS, FIELDS, LONG, SHORT, TINY
from benchmarks.peers.shown import sampled, show
from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.postgres import PostgresStore
from cryptobot_assets.storage.store import KLINES, Store


def main() -> None:
    """Fill the store; then answer."""
    daily, folder, way, shown = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    with _store(folder, way) as store:
        fill(store, daily)

        def work() -> pl.DataFrame:
            return factors(store.read(KLINES, columns=["currency", "time", *FIELDS]))

        def facts(made: pl.DataFrame) -> dict[str, Any]:
            rows = made[sampled(made["time"].dt.replace_time_zone(None).to_numpy())]
            time, values = rows["time"].dt.replace_time_zone(None).to_numpy(), rows.select(list(FACTORS)).to_numpy()
            return show(shown, rows["currency"].to_numpy().astype(str), time, values, made.height)

        serve(work, facts)


@contextlib.contextmanager
def _store(folder: Path, way: str) -> Iterator[Store]:
    if way == "lake":
        yield Lake(str(folder / "lake"))
        return
    with EmbeddedPostgres(folder / "postgres") as server:
        yield PostgresStore(server.url("postgres").replace("+psycopg2", ""))


def fill(store: Store, daily: Path) -> None:
    """Write the rows as klines."""
    absent = [pl.lit(None, KLINE_SCHEMA[name]).alias(name) for name in ("quote_volume", "trades")]
    rows = pl.read_parquet(daily).with_columns(*absent, pl.lit("replay").alias("source"))
    store.replace(KLINES, rows, start=None, end=None)


def factors(rows: pl.DataFrame) -> pl.DataFrame:
    """The factors of rows sorted by symbol and day, which lets a window of a symbol stay where it is (`explode`)."""
    opened, high, low, close, volume = (pl.col(name) for name in FIELDS)
    traded = volume + TINY
    lowest, highest = (
        low.rolling_min(LONG, min_samples=1).over("currency", mapping_strategy="explode"),
        high.rolling_max(LONG, min_samples=1).over("currency", mapping_strategy="explode"),
    )
    made = {
        "KMID": (close - opened) / opened,
        "KLEN": (high - low) / opened,
        "KSFT": (2 * close - high - low) / opened,
        **{
            f"ROC{days}": close.shift(days).over("currency", mapping_strategy="explode") / close
            for days in (SHORT, LONG)
        },
        **{
            f"MA{days}": close.rolling_mean(days, min_samples=1).over("currency", mapping_strategy="explode") / close
            for days in (SHORT, LONG)
        },
        **{
            f"STD{days}": close.rolling_std(days, min_samples=1).over("currency", mapping_strategy="explode") / close
            for days in (SHORT, LONG)
        },
        "MAX20": highest / close,
        "MIN20": lowest / close,
        "RSV20": (close - lowest) / (highest - lowest + TINY),
        "VMA20": volume.rolling_mean(LONG, min_samples=1).over("currency", mapping_strategy="explode") / traded,
        "VSTD20": volume.rolling_std(LONG, min_samples=1).over("currency", mapping_strategy="explode") / traded,
    }
    return rows.lazy().select("currency", "time", *(made[name].alias(name) for name in FACTORS)).collect()


if __name__ == "__main__":
    main()

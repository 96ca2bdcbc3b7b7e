"""How fast rows go into the PostgreSQL store, beside the bare ways of PostgreSQL.

    python benchmarks/postgres_store.py [--rows 500000] [--repeat 3] [--url postgresql://...] [--json result.json]

The same klines into a table of the same columns, primary key and checks, one writer, the best of
several runs that take turns:

- ADBC: `adbc_ingest`, binary COPY out of Arrow;
- COPY: psycopg2's `copy_expert` from CSV that is written beforehand and not counted;
- ours: `PostgresStore.replace` into an empty span; again with the same rows; again with every
  hundredth row changed.

Without `--url` an embedded server in a temporary directory is started.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import psycopg2
from adbc_driver_postgresql import dbapi

from cryptobot_assets.contracts.factories import make_klines
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.postgres import PostgresStore
from cryptobot_assets.storage.store import KLINES
from cryptobot_assets_tests.storage.postgres_server import run, url_of

CURRENCY = "BTCUSDT"


def by_adbc(url: str, rows: pl.DataFrame) -> None:
    """Rows into `bare`."""
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("bare", rows.to_arrow(compat_level=pl.CompatLevel.oldest()), mode="append")
        connection.commit()


def by_copy(url: str, text: io.StringIO) -> None:
    """Rows into `bare`."""
    text.seek(0)
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.copy_expert("COPY bare FROM STDIN (FORMAT csv)", text)
    connection.close()


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(url: str, count: int, repeat: int) -> dict[str, float]:
    """Best seconds of each way."""
    rows = make_klines(count, interval="1m")
    changed = rows.with_columns(volume=pl.col("volume") + (pl.int_range(pl.len()) % 100 == 0))
    text = io.StringIO(rows.write_csv(include_header=False, datetime_format="%Y-%m-%d %H:%M:%S%.6f+00"))
    store = PostgresStore(url)

    def write(new: pl.DataFrame) -> None:
        store.replace(KLINES, new, start=None, end=None, currency=CURRENCY)

    write(rows.head(1))
    run(url, "DROP TABLE IF EXISTS bare", "CREATE TABLE bare (LIKE klines INCLUDING ALL)")
    best: dict[str, float] = {}
    for _ in range(repeat):
        ways = {
            "ADBC": ("TRUNCATE bare", lambda: by_adbc(url, rows)),
            "COPY": ("TRUNCATE bare", lambda: by_copy(url, text)),
            "ours": ("TRUNCATE klines", lambda: write(rows)),
            "ours, unchanged": ("CHECKPOINT", lambda: write(rows)),
            "ours, 1 % changed": ("CHECKPOINT", lambda: write(changed)),
        }
        for name, (before, work) in ways.items():
            run(url, before)
            best[name] = min(best.get(name, float("inf")), seconds_of(work))
    run(url, "DROP TABLE bare")
    return best


def main() -> None:
    """Measure, and print a table; with `--json` write the figures as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000, help="klines (default 500000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the best counts (default 3)")
    parser.add_argument("--url", help="an empty database; default an embedded server")
    parser.add_argument("--json", type=Path, help="write the figures there")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        url = chosen.url
        if url is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = url_of(stack.enter_context(EmbeddedPostgres(folder / "postgres")), "postgres")
        best = measure(url, chosen.rows, chosen.repeat)
    for name, seconds in best.items():
        print(f"{name:18} {seconds:7.2f} s {chosen.rows / seconds:12,.0f} rows/s")
    bare = min(best["ADBC"], best["COPY"])
    ratios = {"load_times_bare": best["ours"] / bare, "unchanged_times_faster": best["ours"] / best["ours, unchanged"]}
    print(f"load: {ratios['load_times_bare']:.2f} times the faster bare way")
    print(f"a re-run that changes nothing: {ratios['unchanged_times_faster']:.1f} times as fast as the first")
    if chosen.json:
        chosen.json.write_text(json.dumps({"seconds": best, **ratios}, indent=2) + "\n")


if __name__ == "__main__":
    main()

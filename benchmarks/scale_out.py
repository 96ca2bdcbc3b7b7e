"""A backfill of indicators in one process, and spread over workers of which one is killed in the middle.

    python benchmarks/scale_out.py [--currencies 60] [--days 60] [--workers 2] [--turns 2]

The same klines (1m) in every store. Prints seconds and rows a second of each way, their ratio to one process on one
core, and fails when a table is not that of one process row for row. One process computes on all cores it has, so on one
machine the workers, a core each, can gain little on it; what a further worker brings is their ratio to one core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psutil

from cryptobot_assets.assets.features import indicated
from cryptobot_assets.checks.features import IndicatorChecks
from cryptobot_assets.contracts.factories import START
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.domain.sources import Span, block_days, together
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS, KLINES
from cryptobot_assets_tests.cluster_processes import running_cluster

INTERVAL = "1m"
ONE_CORE, ONE, SPREAD, KILLED = "one process, one core", "one process", "workers", "workers, one killed"


def main() -> None:
    """Fill a store, make its indicators each way in turn, print and compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--currencies", type=int, default=60)
    options.add_argument("--days", type=int, default=60)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--turns", type=int, default=2, help="times each way is run")
    asked = options.parse_args()
    names = currencies(asked.currencies)
    seconds: dict[str, list[float]] = {ONE_CORE: [], ONE: [], SPREAD: [], KILLED: []}
    with tempfile.TemporaryDirectory() as folder:
        klines = Path(folder) / "klines"
        fill(Lake(str(klines / "lake")), names, asked.days)
        writes = list(writes_of(names, asked.days))
        rows = asked.currencies * asked.days * 1440
        print(f"{rows:,} klines of {len(names)} currencies, {len(writes)} writes, {os.cpu_count()} cores", flush=True)
        expected = None
        for _ in range(asked.turns):
            for way, spent in seconds.items():
                home = Path(folder) / "home"
                shutil.copytree(klines, home)
                spent.append(run(way, home, writes, asked.workers))
                found = Lake(str(home / "lake")).read(INDICATORS)
                expected = found if expected is None else expected
                assert found.height == rows, f"{way}: {found.height:,} rows"
                assert found.equals(expected), f"{way}: another table"
                shutil.rmtree(home)
                told = f"{way:<22}{spent[-1]:8.1f} s {rows / spent[-1]:12,.0f} rows/s   the table of one process"
                print(told, flush=True)
    for way, spent in seconds.items():
        ratio = statistics.median(seconds[ONE_CORE]) / statistics.median(spent)
        print(f"{way:<22}median {statistics.median(spent):8.1f} s, {ratio:.2f} x one process on one core")


def currencies(count: int) -> list[str]:
    """Names of so many."""
    return [f"C{number:03}USDT" for number in range(count)]


def fill(lake: Lake, names: Sequence[str], days: int) -> None:
    """Random walks, a kline a minute."""
    times = pl.datetime_range(
        START, START + days * DAY, timedelta(minutes=1), closed="left", time_zone="UTC", eager=True
    )
    for seed, name in enumerate(names):
        steps = np.random.default_rng(seed).normal(0, 0.0005, len(times))
        close = 100 * np.exp(np.cumsum(steps))
        frame = pl.DataFrame({"time": times, "open": close, "close": close}).with_columns(
            currency=pl.lit(name), high=pl.col("close") * 1.001, low=pl.col("close") * 0.999, volume=pl.lit(2.0),
            quote_volume=2 * pl.col("close"), trades=pl.lit(3), source=pl.lit("rest"),
        )  # fmt: skip
        rows = frame.select(pl.col(column).cast(kind) for column, kind in KLINE_SCHEMA.items())
        lake.replace(KLINES, rows, start=None, end=None, currency=name)


def writes_of(names: Sequence[str], days: int) -> Iterator[list[Span]]:
    """The blocks of a backfill, those of one write together, as the asset cuts them."""
    step = min(block_days(INTERVAL), 30)
    spans = [
        Span(name, START + day * DAY, START + min(day + step, days) * DAY)
        for name in names
        for day in range(0, days, step)
    ]
    return together(spans, INTERVAL)


def run(way: str, home: Path, writes: Sequence[Sequence[Span]], workers: int) -> float:
    """Seconds of making and storing the indicators one way."""
    lake = Lake(str(home / "lake"))
    if way in (ONE_CORE, ONE):
        with cores(1 if way == ONE_CORE else None):
            return seconds_of(Settings.load(home=home, interval=INTERVAL), lake, writes)
    with running_cluster(workers, {"CRYPTOBOT_HOME": str(home), "CRYPTOBOT_INTERVAL": INTERVAL}) as (url, processes):
        settings = Settings.load(home=home, interval=INTERVAL, cluster_url=url)
        warm(settings, lake, writes[0][:1])
        return seconds_of(settings, lake, writes, killed=processes[0].pid if way == KILLED else None)


@contextmanager
def cores(number: int | None) -> Iterator[None]:
    """Keep every thread of this process, those of libraries too, on so many cores; None leaves them where they are."""
    whole = os.sched_getaffinity(0)
    kept = whole if number is None else set(sorted(whole)[:number])
    _keep_threads(kept)
    try:
        yield
    finally:
        _keep_threads(whole)


def _keep_threads(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def warm(settings: Settings, lake: Lake, write: Sequence[Span]) -> None:
    """Let workers import what they need, as those that have run for a while have."""
    list(indicated([write] * 8, settings, lake, IndicatorChecks(INTERVAL)))


def seconds_of(settings: Settings, lake: Lake, writes: Sequence[Sequence[Span]], killed: int | None = None) -> float:
    """Seconds until the last write is stored; the process `killed` dies once half of the blocks are."""
    started, blocks = time.perf_counter(), sum(map(len, writes))
    for number, _ in enumerate(indicated(writes, settings, lake, IndicatorChecks(INTERVAL)), start=1):
        if killed is not None and number == blocks // 2:
            psutil.Process(killed).kill()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

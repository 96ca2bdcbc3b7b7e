"""How fast archives become rows of the lake, beside the bare Polars read and write of the same bytes.

    python benchmarks/archive_to_lake.py [--months 12] [--repeat 3] [--json result.json]

Simulated months of one currency at 1m, zipped as the exchange publishes them, in memory; one
process, no network. Four things are timed, each best of several runs, in seconds of the clock and
in seconds of processor time (over all threads, so a rate by it is a rate of one core):

- read, ours: checksum, unzip, parse, tell the unit of time, hold to the kline contract;
- read, bare: unzip and `pl.read_csv` of all 12 columns under a schema;
- store, ours: blocks of three months and their gaps into the Delta lake, constraints checked, one
  commit each, as the `klines` asset writes them;
- store, bare: the same blocks by `write_parquet`, and by `write_delta`, with no rule or replacement.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl

from cryptobot_assets.assets.market_data import store_klines
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.sources import Source, Span, block_days, month_after, month_blocks
from cryptobot_assets.exchange.archives import Archives
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.storage.archive import CSV_COLUMNS, parse_klines, unzip
from cryptobot_assets.storage.history import Fetched
from cryptobot_assets.storage.lake import Lake

START = datetime(2024, 3, 1, tzinfo=UTC)
CURRENCY = "BTCUSDT"
Month = tuple[Source, bytes]


@dataclass(frozen=True)
class Rate:
    """Klines a second, by the clock and by one core's processor time."""

    by_clock: float
    by_core: float


@dataclass(frozen=True)
class Speed:
    """The figures of one session; times slower above 1 means ours is slower than the bare way, by processor time."""

    rows: int
    parse: Rate
    read: Rate
    bare_parse: Rate
    bare_read: Rate
    store: Rate
    bare_parquet: Rate
    bare_delta: Rate
    whole: Rate
    read_times_slower: float
    store_times_slower_than_parquet: float
    store_times_slower_than_delta: float
    whole_times_slower_than_parquet: float


def make_months(count: int, seed: int) -> list[Month]:
    """Zips of whole months, both units of time among them when there are ten or more."""
    bounds = [START]
    for _ in range(count):
        bounds.append(month_after(bounds[-1]))
    market = simulate(seed, [CURRENCY], days=(bounds[-1] - START).days, start=START)
    archives = Archives(market)
    months = []
    for first, end in pairwise(bounds):
        name = f"{CURRENCY}-1m-{first:%Y-%m}.zip"
        zipped = archives.archive("monthly", CURRENCY, "1m", name, now_ms=market.end_ms)
        assert zipped is not None, name
        months.append((Source("monthly", first, end), zipped))
    return months


def rate(rows: int, work: Callable[[], object], repeat: int) -> Rate:
    """Best of several runs."""
    clock, core = [], []
    for _ in range(repeat):
        began, spent = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - began)
        core.append(time.process_time() - spent)
    return Rate(rows / min(clock), rows / min(core))


def read_ours(months: list[Month]) -> list[pl.DataFrame]:
    frames = []
    for source, zipped in months:
        hashlib.sha256(zipped).hexdigest()
        frames.append(parse_klines(unzip(zipped), CURRENCY, "1m", source))
    return frames


def bare_parse(text: bytes) -> pl.DataFrame:
    return pl.read_csv(text, has_header=False, schema=CSV_COLUMNS)


def in_blocks(frames: list[pl.DataFrame], start: datetime, end: datetime) -> list[Fetched]:
    rows = pl.concat(frames)
    blocks = []
    for span in month_blocks(Span(CURRENCY, start, end), block_days("1m")):
        inside = rows.filter(pl.col("time").is_between(span.start, span.end, closed="left"))
        blocks.append(Fetched(span, span.start, span.end, inside.rechunk(), []))
    return blocks


def store_ours(blocks: list[Fetched]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Lake(folder)
        for block in blocks:
            store_klines([block], "1m", store)


def store_parquet(blocks: list[Fetched]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, block in enumerate(blocks):
            block.rows.write_parquet(Path(folder) / f"{number}.parquet")


def store_delta(blocks: list[Fetched]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for block in blocks:
            block.rows.write_delta(f"{folder}/klines", mode="append")


def measure(*, months: int, repeat: int, seed: int) -> Speed:
    """Time the ways, on the same bytes, in one session."""
    made = make_months(months, seed)
    texts = [(source, unzip(zipped)) for source, zipped in made]
    frames = read_ours(made)
    rows = sum(frame.height for frame in frames)
    end = made[-1][0].end
    assert rows <= (end - START) / DAY * 1440
    blocks = in_blocks(frames, START, end)
    parse = rate(rows, lambda: [parse_klines(text, CURRENCY, "1m", source) for source, text in texts], repeat)
    read = rate(rows, lambda: read_ours(made), repeat)
    plain_parse = rate(rows, lambda: [bare_parse(text) for _, text in texts], repeat)
    plain_read = rate(rows, lambda: [bare_parse(unzip(zipped)) for _, zipped in made], repeat)
    store = rate(rows, lambda: store_ours(blocks), repeat)
    parquet = rate(rows, lambda: store_parquet(blocks), repeat)
    delta = rate(rows, lambda: store_delta(blocks), repeat)
    whole, plain_whole = _both(read, store), _both(plain_read, parquet)
    return Speed(
        rows=rows,
        parse=parse,
        read=read,
        bare_parse=plain_parse,
        bare_read=plain_read,
        store=store,
        bare_parquet=parquet,
        bare_delta=delta,
        whole=whole,
        read_times_slower=plain_read.by_core / read.by_core,
        store_times_slower_than_parquet=parquet.by_core / store.by_core,
        store_times_slower_than_delta=delta.by_core / store.by_core,
        whole_times_slower_than_parquet=plain_whole.by_core / whole.by_core,
    )


def _both(one: Rate, other: Rate) -> Rate:
    """The rate of doing one after the other."""
    return Rate(1 / (1 / one.by_clock + 1 / other.by_clock), 1 / (1 / one.by_core + 1 / other.by_core))


def main() -> None:
    """Measure, and print a table; with `--json` write the figures as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=12, help="months of one currency (default 12)")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the best counts (default 3)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures there")
    chosen = parser.parse_args()
    speed = measure(months=chosen.months, repeat=chosen.repeat, seed=chosen.seed)
    print(f"{speed.rows:,} klines{'klines a second':>30}{'a core':>14}")
    lines = {
        "parse, ours (CSV to held klines)": speed.parse,
        "parse, bare read_csv": speed.bare_parse,
        "read, ours (zip to held klines)": speed.read,
        "read, bare unzip and read_csv": speed.bare_read,
        "store, ours (lake)": speed.store,
        "store, bare write_delta": speed.bare_delta,
        "store, bare write_parquet": speed.bare_parquet,
        "read and store, ours": speed.whole,
    }
    for name, one in lines.items():
        print(f"{name:34}{one.by_clock:14,.0f}{one.by_core:14,.0f}")
    print(
        f"ours takes {speed.read_times_slower:.2f} x the bare read, {speed.store_times_slower_than_delta:.2f} x the "
        f"bare Delta write, {speed.store_times_slower_than_parquet:.2f} x the bare Parquet write, "
        f"{speed.whole_times_slower_than_parquet:.2f} x bare read and Parquet write together"
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(asdict(speed), indent=2) + "\n")


if __name__ == "__main__":
    main()

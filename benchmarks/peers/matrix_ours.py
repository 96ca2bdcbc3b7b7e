"""The feature matrix by this platform, from a lake that holds klines and indicators.

    python -m benchmarks.peers.matrix_ours KLINES FOLDER indicators|klines SHOWN

`indicators`: what a training does, `SampleReader.read`. `klines`: the indicators are made on the way too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.peers.contestant import serve
from benchmarks.peers.shown import sampled, show
from cryptobot_assets.domain.features import DEFAULT_FEATURES, is_stored
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.domain.samples import Samples, make_samples
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import INDICATORS, KLINES

INTERVAL = "1h"


def main() -> None:
    """Fill the lake unless another way of this session did; then answer."""
    klines, folder, way, shown = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    lake, currencies, start, end = fill(klines, folder)
    ways: dict[str, Callable[[], Samples]] = {
        "indicators": lambda: SampleReader(lake, INTERVAL, currencies).read(DEFAULT_FEATURES, currencies, start, end),
        "klines": lambda: from_klines(lake, currencies, start, end),
    }

    def facts(made: Samples) -> dict[str, Any]:
        rows = made.take(sampled(made.time))
        return show(shown, rows.currency.astype(str), rows.time, np.column_stack([rows.X, rows.y]), len(made))

    serve(ways[way], facts)


def fill(klines: Path, folder: Path) -> tuple[Lake, list[str], datetime, datetime]:
    """The lake, its currencies and the whole days that its klines span."""
    rows = pl.read_parquet(klines).with_columns(
        pl.lit(None, KLINE_SCHEMA[name]).alias(name) for name in ("quote_volume", "trades")
    )
    rows = rows.with_columns(source=pl.lit("replay"))
    first, newest = rows["time"].min(), rows["time"].max()
    assert isinstance(first, datetime)
    assert isinstance(newest, datetime)
    start, end = (time.replace(hour=0, minute=0) for time in (first, newest + DAY))
    lake = Lake(str(folder))
    if not folder.exists():
        folder.mkdir(parents=True)
        lake.replace(KLINES, rows, start=None, end=None)
        lake.replace(INDICATORS, indicator_frame(rows, INTERVAL, start, end), start=None, end=None)
    return lake, rows["currency"].unique().sort().to_list(), start, end


def from_klines(lake: Lake, currencies: list[str], start: datetime, end: datetime) -> Samples:
    """As a backfill followed by a training, without storing what lies between."""
    closes = lake.read(KLINES, columns=["currency", "time", "close"], currency=currencies)
    made = indicator_frame(closes, INTERVAL, start, end, {"close", *filter(is_stored, DEFAULT_FEATURES)})
    threads = os.cpu_count() or 1
    return make_samples(made, features=DEFAULT_FEATURES, interval=INTERVAL, start=start, end=end, threads=threads)


if __name__ == "__main__":
    main()

"""freqtrade's stores as contestants: the same klines, stored and loaded through its own data handlers.

    python -m benchmarks.peers.freqtrade_store FORMAT KLINES.parquet FOLDER [FIRST END]   milliseconds since 1970

FORMAT is one of its handlers (feather, parquet, json, jsongz); `feather-alone` reads the file that `feather` stored
through the same handler without the cleaning (a group by date) that freqtrade does at every load.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.data.converter import trim_dataframe
from freqtrade.data.history.datahandlers import get_datahandler
from freqtrade.enums import CandleType

from benchmarks.peers.contestant import serve

PAIR, INTERVAL, KIND = "BTC/USDT", "1m", CandleType.SPOT
ALONE = "-alone"
MINUTE_SECONDS = 60
MEGABYTE = 1e6


def main() -> None:
    """Store once, then load at every turn."""
    asked, source, folder, *bounds = sys.argv[1:]
    place = Path(folder)
    handler = get_datahandler(place, asked.removesuffix(ALONE))
    if not place.exists():
        place.mkdir()
        klines = pd.read_parquet(source).rename(columns={"time": "date"}).drop(columns="currency")
        handler.ohlcv_store(PAIR, INTERVAL, klines, KIND)
    size = sum(path.stat().st_size for path in place.iterdir()) / MEGABYTE
    span = None
    if bounds:
        first, end = (int(bound) // 1000 for bound in bounds)
        span = TimeRange("date", "date", first, end - MINUTE_SECONDS)

    def load() -> pd.DataFrame:
        if asked.endswith(ALONE):
            rows = handler._ohlcv_load(PAIR, INTERVAL, span, KIND)
            return trim_dataframe(rows, span) if span else rows
        return handler.ohlcv_load(PAIR, INTERVAL, KIND, timerange=span, fill_missing=False)

    def facts(rows: pd.DataFrame) -> dict[str, Any]:
        sums = {name: float(rows[name].sum()) for name in ("open", "high", "low", "close", "volume")}
        return {"rows": len(rows), "sums": sums, "mb": size, "note": f"{size:.1f} MB on disk"}

    serve(load, facts)


if __name__ == "__main__":
    main()

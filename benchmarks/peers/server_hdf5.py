"""Fourteen factors from one HDF5 file by pandas. Runs in Qlib's environment, which has PyTables.

python -m benchmarks.peers.server_hdf5 DAILY FOLDER SHOWN
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers.contestant import serve
from benchmarks.peers.factors import FACTORS, LONG, SHORT, TINY
from benchmarks.peers.shown import sampled, show

KEY = "daily"


def main() -> None:
    """Write the file; then answer."""
    daily, path, shown = sys.argv[1], Path(sys.argv[2]) / "daily.h5", sys.argv[3]
    rows = pd.read_parquet(daily)
    rows["time"] = rows["time"].dt.tz_localize(None)
    rows.set_index(["currency", "time"]).sort_index().to_hdf(path, key=KEY, mode="w", format="fixed")
    del rows

    def work() -> pd.DataFrame:
        return factors(pd.read_hdf(path, key=KEY))

    def facts(made: pd.DataFrame) -> dict[str, Any]:
        rows = made.iloc[sampled(made.index.get_level_values("time").to_numpy())]
        symbol, time = (rows.index.get_level_values(name) for name in ("currency", "time"))
        return show(shown, symbol.to_numpy(str), time.to_numpy(), rows.to_numpy(np.float64), len(made))

    serve(work, facts)


def factors(rows: pd.DataFrame) -> pd.DataFrame:
    """The factors of rows sorted by symbol and day."""
    symbols = rows.groupby(level="currency", sort=False)

    def rolled(field: str, figure: str, days: int) -> pd.Series:
        windows = symbols[field].rolling(days, min_periods=1)
        return getattr(windows, figure)().droplevel(0)

    opened, close, volume = rows["open"], rows["close"], rows["volume"] + TINY
    low, high = rolled("low", "min", LONG), rolled("high", "max", LONG)
    made = {
        "KMID": (close - opened) / opened,
        "KLEN": (rows["high"] - rows["low"]) / opened,
        "KSFT": (2 * close - rows["high"] - rows["low"]) / opened,
        **{f"ROC{days}": symbols["close"].shift(days) / close for days in (SHORT, LONG)},
        **{f"MA{days}": rolled("close", "mean", days) / close for days in (SHORT, LONG)},
        **{f"STD{days}": rolled("close", "std", days) / close for days in (SHORT, LONG)},
        "MAX20": high / close,
        "MIN20": low / close,
        "RSV20": (close - low) / (high - low + TINY),
        "VMA20": rolled("volume", "mean", LONG) / volume,
        "VSTD20": rolled("volume", "std", LONG) / volume,
    }
    return pd.DataFrame(made)[list(FACTORS)]


if __name__ == "__main__":
    main()

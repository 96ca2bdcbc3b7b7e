"""The feature matrix by pandas, as a notebook would: shifts and rolling windows by currency.

    python -m benchmarks.peers.matrix_pandas KLINES SHOWN

Hours without a kline are put in as empty rows first, or a shift by rows would not be one by hours.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers import lags
from benchmarks.peers.contestant import serve
from benchmarks.peers.shown import sampled, show


def main() -> None:
    """Nothing to get ready; answer."""

    def work() -> pd.DataFrame:
        return features(pd.read_parquet(sys.argv[1], columns=["currency", "time", "close"]))

    def facts(made: pd.DataFrame) -> dict[str, Any]:
        rows = made.iloc[sampled(made["time"].dt.tz_localize(None).to_numpy())]
        time, values = rows["time"].dt.tz_localize(None).to_numpy(), rows[[*lags.NAMES, "label"]].to_numpy(np.float64)
        return show(sys.argv[2], rows["currency"].to_numpy(str), time, values, len(made))

    serve(work, facts)


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of which every feature is known, with their label."""
    hourly = rows.pivot(index="time", columns="currency", values="close").asfreq("h")
    frame = hourly.melt(ignore_index=False, value_name="close").reset_index()
    close, by_currency = frame["close"], frame.groupby("currency")["close"]
    low, high = (
        getattr(by_currency.rolling(lags.SCALE_HOURS), kind)().reset_index(level=0, drop=True)
        for kind in ("min", "max")
    )
    columns = {"close_minmax_scale": (close - low) / (high - low)}
    for name, (short, long) in zip(lags.NAMES[1:3], lags.HOURLY_MEANS, strict=True):
        means = (by_currency.rolling(hours).mean().reset_index(level=0, drop=True) for hours in (short, long))
        columns[name] = (next(means) - next(means)) / close
    short, long = (
        sum(by_currency.shift(lags.DAY_HOURS * day) for day in range(days)) / days for days in lags.DAILY_MEANS
    )
    columns[lags.NAMES[3]] = (short - long) / close
    for hours in lags.LAG_HOURS:
        columns[f"close_lag_{hours}h"] = by_currency.shift(hours) / close - 1
    columns["label"] = by_currency.shift(-lags.LABEL_HOURS) / close - 1
    made = pd.concat([frame[["currency", "time"]], pd.DataFrame(columns)], axis=1)
    return made.dropna(subset=list(lags.NAMES))


if __name__ == "__main__":
    main()

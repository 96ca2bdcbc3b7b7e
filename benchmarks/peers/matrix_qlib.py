"""The feature matrix by Qlib: its `.bin` store and its expressions, all caches off. Runs in Qlib's environment.

python -m benchmarks.peers.matrix_qlib KLINES FOLDER KERNELS SHOWN
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import qlib
from qlib.data import D

from benchmarks.peers import lags
from benchmarks.peers.contestant import serve
from benchmarks.peers.qlib_store import write_store
from benchmarks.peers.shown import sampled, show

FREQ = "60min"


def main() -> None:
    """Write the store unless another way of this session did; then answer."""
    klines, folder, kernels, shown = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    rows = pd.read_parquet(klines, columns=["currency", "time", "close"])
    write_store(rows.assign(time=rows["time"].dt.tz_localize(None)), folder, FREQ, ("close",))
    del rows
    qlib.init(
        provider_uri=str(folder), region="us", kernels=kernels, expression_cache=None, dataset_cache=None,
        logging_level=30,
    )  # fmt: skip
    fields = [*expressions().values(), f"Ref($close, -{lags.LABEL_HOURS})/$close-1"]

    def work() -> pd.DataFrame:
        frame = D.features(D.instruments("all"), fields, freq=FREQ)
        frame.columns = [*lags.NAMES, "label"]
        return frame.dropna(subset=list(lags.NAMES))

    def facts(made: pd.DataFrame) -> dict[str, Any]:
        rows = made.iloc[sampled(made.index.get_level_values("datetime").to_numpy())]
        currency, time = (rows.index.get_level_values(name) for name in ("instrument", "datetime"))
        return show(shown, currency.to_numpy(str), time.to_numpy(), rows.to_numpy(np.float64), len(made))

    serve(work, facts)


def expressions() -> dict[str, str]:
    """The features as Qlib writes them."""
    low, high = (f"{kind}($close, {lags.SCALE_HOURS})" for kind in ("Min", "Max"))
    short, long = (_daily_mean(count) for count in lags.DAILY_MEANS)
    means = [f"(Mean($close, {one})-Mean($close, {other}))/$close" for one, other in lags.HOURLY_MEANS]
    lagged = [f"Ref($close, {hours})/$close-1" for hours in lags.LAG_HOURS]
    made = [f"($close-{low})/({high}-{low})", *means, f"({short}-{long})/$close", *lagged]
    return dict(zip(lags.NAMES, made, strict=True))


def _daily_mean(count: int) -> str:
    """Of closes a day apart: Qlib has no operator for samples that are spaced."""
    closes = "+".join(["$close", *(f"Ref($close, {lags.DAY_HOURS * day})" for day in range(1, count))])
    return f"({closes})/{count}"


if __name__ == "__main__":
    main()

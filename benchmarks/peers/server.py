"""The part `data_server`: Qlib's own comparison, fourteen factors of 800 symbols by day, with our stores in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.peers.contest import Contest, Contestant, hold
from benchmarks.peers.factors import FACTORS
from benchmarks.peers.finding import Finding
from benchmarks.peers.place import SEED, Place
from benchmarks.peers.shown import agreement

START = datetime(2007, 1, 1, tzinfo=UTC)
DAILY_VOLATILITY = 0.02
OURS = "ours: Delta lake, Polars"


def data_server(place: Place) -> list[Finding]:
    """14 factors of OHLCV by day, from what is stored to a table, as in the comparison of Qlib's data server."""
    source = place.folder / "daily.parquet"
    simulate_daily(source, place.size.symbols, place.size.days)
    daily, folder = str(source), str(place.folder)
    shown = (str(place.folder / f"shown-{way}.npz") for way in range(9))
    qlib = {
        "Qlib, no cache, 1 kernel": ("1", "none"),
        "Qlib, no cache, 2 kernels": ("2", "none"),
        "Qlib, expression cache, 1 kernel": ("1", "expressions"),
        "Qlib, expression and dataset cache, 1 kernel": ("1", "dataset"),
    }
    contestants = (
        Contestant(OURS, "server_ours", (daily, folder, "lake", next(shown))),
        *(
            Contestant(
                name, "server_qlib", (daily, f"{folder}/qlib-{place_of}", *told, next(shown)), aim=1,
                python=place.python("qlib"), note="float32" + ("" if told[1] == "none" else "; filled beforehand"),
            )
            for place_of, (name, told) in enumerate(qlib.items())
        ),
        Contestant("HDF5, pandas", "server_hdf5", (daily, folder, next(shown)), python=place.python("qlib"), aim=1),
        Contestant("ours: PostgreSQL, Polars", "server_ours", (daily, folder, "postgresql", next(shown))),
    )  # fmt: skip
    contest = Contest(
        "data_server",
        "14 factors of daily klines, as in the table of Qlib's data server",
        f"{place.size.symbols} symbols, {place.size.days:,} days, simulated",
        OURS,
        contestants,
        agree=agree,
    )
    return [hold(contest, place.turns, place.told)]


def agree(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """The ways' sampled rows beside ours."""
    return agreement(facts, OURS, tuple(FACTORS), single="Qlib")


def simulate_daily(path: Path, symbols: int, days: int) -> None:
    """Random walks: currency, time (UTC), open, high, low, close, volume of every symbol and day."""
    drawn = np.random.default_rng(SEED)
    close = 20 * np.exp(np.cumsum(drawn.normal(0, DAILY_VOLATILITY, (symbols, days)), axis=1))
    opened = close * np.exp(drawn.normal(0, DAILY_VOLATILITY / 2, close.shape))
    up, down = (np.exp(np.abs(drawn.normal(0, DAILY_VOLATILITY / 4, close.shape))) for _ in range(2))
    times = pl.datetime_range(START, START + timedelta(days=days - 1), "1d", eager=True, time_unit="us")
    pl.DataFrame(
        {
            "currency": np.repeat([f"S{number:04}" for number in range(symbols)], days),
            "time": pl.concat([times] * symbols),
            "open": opened.ravel(),
            "high": (np.maximum(opened, close) * up).ravel(),
            "low": (np.minimum(opened, close) / down).ravel(),
            "close": close.ravel(),
            "volume": drawn.lognormal(12, 0.5, close.size),
        }
    ).write_parquet(path)

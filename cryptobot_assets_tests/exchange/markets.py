"""Small markets for the tests of the exchange."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from cryptobot_assets.exchange.market import Market, Series, interval_ms, to_ms

START_MS = to_ms(datetime(2025, 1, 1, tzinfo=UTC))
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def make_series(count: int, *, start_ms: int = START_MS, interval: str = "1m", **columns: list) -> Series:
    """`count` klines in a row around a price of 100, all of them told apart; `columns` replace some."""
    place = np.arange(count, dtype=float)
    made = {
        "open": 100 + place / 100,
        "high": 102 + place / 100,
        "low": 99 + place / 100,
        "close": 101 + place / 100,
        "volume": 1 + place / 1000,
    }
    made.update({name: np.array(values, float) for name, values in columns.items()})
    return Series(time_ms=start_ms + np.arange(count) * interval_ms(interval), **made)


def make_market(series: Mapping[str, Series] | None = None, *, interval: str = "1m", count: int = 3000) -> Market:
    """A market of BTCUSDT, or of the given series."""
    if series is None:
        series = {"BTCUSDT": make_series(count, interval=interval)}
    return Market(label="replay", interval=interval, series=series)

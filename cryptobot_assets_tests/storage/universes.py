"""A small market in which currencies come and go, for the tests of listings and of what depends on them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import numpy as np

from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.market import Market, Series, to_ms
from cryptobot_assets_tests.exchange.markets import HOUR_MS, make_series

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 120
LIVES = {
    "BTCUSDT": [(0, 24 * DAYS)],
    "BTCUPUSDT": [(0, 24 * DAYS)],
    "ENDUSDT": [(0, 24 * 40 + 13)],
    "LUNAUSDT": [(0, 24 * 30 + 5), (24 * 47 + 9, 24 * DAYS)],
    "NEWUSDT": [(24 * 60 + 10, 24 * DAYS)],
    "GONEUSDT": [(24 * 3, 24 * 70)],
    "PEGUSDT": [(0, 24 * DAYS)],
    "USDCUSDT": [(0, 24 * DAYS)],
}
"""Hours of each currency's listings since `FIRST`."""
POSITIONS = ("BTCUPUSDT", "BTCUSDT", "ENDUSDT", "LUNAUSDT", "PEGUSDT", "USDCUSDT", "GONEUSDT", "NEWUSDT")
"""By first kline, then name."""


def hour(count: float) -> datetime:
    """The instant so many hours after `FIRST`."""
    return FIRST + timedelta(hours=count)


def make_universe(*, forgotten: Collection[str] = ("GONEUSDT",), without: Collection[str] = ()) -> Market:
    """The market of `LIVES`, hourly; `PEGUSDT` keeps to one."""
    whole = make_series(24 * DAYS, start_ms=to_ms(FIRST), interval="1h")
    series = {name: _alive(whole, lives) for name, lives in LIVES.items() if name not in without}
    flat = np.ones(24 * DAYS)
    if "PEGUSDT" in series:
        series["PEGUSDT"] = Series(
            time_ms=whole.time_ms, open=flat, high=flat + 0.001, low=flat - 0.001, close=flat, volume=flat
        )
    return Market(label="replay", interval="1h", series=series, forgotten=forgotten)


def clock_at(hours: float):
    """A clock that stands at an hour of the market."""
    return fixed_clock(to_ms(FIRST) + round(hours * HOUR_MS))


def _alive(whole: Series, lives: list[tuple[int, int]]) -> Series:
    hours = np.arange(len(whole))
    kept = np.logical_or.reduce([(hours >= start) & (hours < end) for start, end in lives])
    return Series(**{name: column[kept] for name, column in whole.columns.items()})

"""What can be wrong with stored klines and indicators, and where; every answer is the offending rows.

Thresholds of `find_jumps` were chosen on 2.6 million recorded klines of 2021 to 2024 (10 currencies at
1m, 87 at 1h, the crash of May 2021 included): there it flags none, though closes do leap by up to 60 %
and come back at once. What tells a wrong price from a leap is the next kline: trading goes on from a
close that was real.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from cryptobot_assets.domain.grid import HourGrid, microseconds
from cryptobot_assets.domain.indicators import INDICATORS, whole_window
from cryptobot_assets.domain.intervals import interval_delta

LEAP = 0.05
"""Least distance of a close from both its neighbours, as a natural logarithm, to be called a jump."""

PRICES = ("open", "high", "low", "close")


def find_repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows, sorted by currency and time, whose key is that of the row before.

    >>> find_repeated(pl.DataFrame({"currency": ["A", "A", "B"], "time": [1, 1, 1]})).rows()
    [('A', 1)]
    """
    again = rows["time"] == rows["time"].shift(1)
    if not again.any():
        return rows.clear()
    return rows.filter(again & (rows["currency"] == rows["currency"].shift(1)))


def find_off_grid(rows: pl.DataFrame, interval: str) -> pl.DataFrame:
    """Rows whose time is no instant of the interval's grid."""
    step = int(interval_delta(interval).total_seconds() * 1_000_000)
    beside = rows["time"].dt.epoch("us") % step != 0
    return rows.filter(beside) if beside.any() else rows.clear()


def find_disordered(klines: pl.DataFrame) -> pl.DataFrame:
    """Klines with a price that is no positive number, or whose high or low is not the highest or lowest."""
    ordered = [pl.col("high") >= pl.col("open", "close"), pl.col("low") <= pl.col("open", "close")]
    good = pl.all_horizontal(*ordered, pl.col("low") > 0, pl.col("high").is_finite()).fill_null(False)
    return klines.clear() if klines.select(good.all()).item() else klines.filter(~good)


def find_jumps(klines: pl.DataFrame, interval: str) -> pl.DataFrame:
    """Klines of one currency whose close is absurd against its neighbours.

    It lies more than `LEAP` from the closes before and after, both times on the same side, and the
    next kline does not open near it (within half that distance). Neighbours are klines right beside.

    Args:
        klines: columns time, open, close; sorted by time.
    """
    step = int(interval_delta(interval).total_seconds() * 1_000_000)
    times, close = microseconds(klines["time"]), klines["close"].to_numpy()
    if len(times) < 3:
        return klines.clear()
    with np.errstate(invalid="ignore", divide="ignore"):
        change = close[1:] / close[:-1]
        moved = np.abs(change - 1) > LEAP / 2
        places = np.flatnonzero(moved[:-1] & moved[1:]) + 1
        before, after = np.log(change[places - 1]), -np.log(change[places])
        opens_off = np.abs(np.log(close[places] / klines["open"].to_numpy()[places + 1]))
        leap = np.minimum(np.abs(before), np.abs(after))
        beside = (times[places] - times[places - 1] == step) & (times[places + 1] - times[places] == step)
        found = beside & (leap > LEAP) & (before * after > 0) & (opens_off > leap / 2)
    suspicious: pl.DataFrame = klines[places[found]]
    return suspicious


def find_unexplained_nulls(closes: HourGrid, first_hour: int, indicators: pl.DataFrame) -> pl.DataFrame:
    """Rows of indicators with a null, or no finite number, that no gap in the lookback and no flat one explains.

    Args:
        closes: of one currency, from the longest lookback before row `first_hour` on.
        indicators: of the same currency, all with times from `first_hour` on; unique keys, sorted.

    Returns:
        columns currency, time, name.
    """
    start = closes.times(first_hour, first_hour + 1)[0]
    step = interval_delta(closes.interval)
    slots = (indicators["time"].dt.replace_time_zone(None).to_numpy() - start) // np.timedelta64(step)
    known = ~np.isnan(closes.values)
    found = []
    for indicator in INDICATORS:
        values = indicators[indicator.name]
        wrong = (values.is_null() | ~values.is_finite().fill_null(True)).to_numpy()
        if not wrong.any():
            continue
        width = max(int(indicator.lookback / step), 1)
        explained = ~whole_window(known.ravel(), width)
        if indicator.name in _FLAT:
            explained |= _flat(closes.values, indicator.name, width)
        explained = explained.reshape(known.shape)[first_hour:].ravel()
        places = indicators.filter(pl.Series(wrong & ~(explained[slots] & values.is_null().to_numpy())))
        found.append(places.select("currency", "time", name=pl.lit(indicator.name)))
    empty = pl.Schema({"currency": pl.String(), "time": indicators.schema["time"], "name": pl.String()})
    return pl.concat([pl.DataFrame(schema=empty), *found])


_FLAT = frozenset({"close_minmax_scale", "rsi_14h", "bollinger_20h"})
"""Figures that divide zero by zero where closes of the lookback are all the same."""


def _flat(closes: np.ndarray, name: str, width: int) -> np.ndarray:
    """Where the closes that a figure reads, of the trailing `width` instants, are all the same."""
    if name == "close_minmax_scale":
        flat = closes.ravel()
        same = np.concatenate([[True], flat[1:] == flat[:-1]])
        return whole_window(same, width - 1)
    same = np.concatenate([np.ones_like(closes[:1], bool), closes[1:] == closes[:-1]])
    hours = width // closes.shape[1]
    return np.stack([whole_window(column, hours - 1) for column in same.T], axis=1).ravel()

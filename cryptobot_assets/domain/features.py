"""Model inputs: stored indicators, and lags of the close derived on read.

`close_lag_<h>h` of row t is close(t - h hours) / close(t) - 1: what the price of h hours ago is
relative to now, known when the row is. Features that are not lags are stored indicator columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cryptobot_assets.domain.grid import HourGrid, to_grid
from cryptobot_assets.domain.indicators import INDICATOR_NAMES, INDICATORS
from cryptobot_assets.domain.intervals import HOUR, floor_hour, interval_delta
from cryptobot_assets.domain.labels import HORIZON, HORIZON_HOURS, label_array
from cryptobot_assets.errors import UsageError

LAG_HOURS: tuple[int, ...] = (*range(1, 650, 24), 672)
DEFAULT_FEATURES: tuple[str, ...] = (
    "close_minmax_scale",
    "ma7_25h_scale",
    "ma25_99h_scale",
    "ma7_25d_scale",
    *(f"close_lag_{hours}h" for hours in LAG_HOURS),
)

_LAG = re.compile(r"^close_lag_(\d+)h$")
_LOOKBACKS = {indicator.name: indicator.lookback for indicator in INDICATORS}


def lag_hours(feature: str) -> int | None:
    """Hours of a lag feature, None for an indicator.

    >>> lag_hours("close_lag_25h"), lag_hours("rsi_14h")
    (25, None)
    """
    match = _LAG.match(feature)
    return int(match.group(1)) if match else None


def require_features(features: Iterable[str]) -> tuple[str, ...]:
    """The features as a tuple when each can be computed; raises `UsageError` otherwise."""
    features = tuple(features)
    unknown = [name for name in features if name not in INDICATOR_NAMES and lag_hours(name) is None]
    if unknown or not features:
        raise UsageError(f"unknown features: {', '.join(unknown) or 'none given'}")
    return features


def lookback(features: Iterable[str]) -> timedelta:
    """How far before a row its features read, `(t - lookback, t]`; a lag of h hours reads t - h itself."""
    return max((hours + 1) * HOUR if (hours := lag_hours(name)) is not None else _LOOKBACKS[name] for name in features)


@dataclass(frozen=True)
class Samples:
    """Rows for training or scoring, sorted by time and then currency.

    Attributes:
        features: k column names.
        currency: (n,) object array of symbols.
        time: (n,) datetime64[us], open time, UTC.
        X: (n, k) float64, finite.
        y: (n,) float64 label, NaN where not known yet.
        dropped: rows in the range that lack a feature, left out.
    """

    features: tuple[str, ...]
    currency: np.ndarray
    time: np.ndarray
    X: np.ndarray
    y: np.ndarray
    dropped: int

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: np.ndarray) -> Samples:
        """The rows named by an index or mask."""
        return Samples(self.features, self.currency[rows], self.time[rows], self.X[rows], self.y[rows], self.dropped)


def make_samples(
    indicators: pl.DataFrame,
    *,
    features: tuple[str, ...],
    interval: str,
    start: datetime,
    end: datetime,
    stride_minutes: int | None = None,
) -> Samples:
    """Features and labels of the indicator rows with time in [start, end).

    Args:
        indicators: columns currency, time, close and every stored feature. Rows before `start`
            feed the lags, rows after `end` the labels: a label whose close is not in the frame is
            NaN, so cutting the frame at a cutoff is what keeps the future out.
        stride_minutes: keep only rows whose known_at is a multiple of it (since 1970), a
            deterministic thinning of heavily overlapping rows; None keeps all.
    """
    parts = [
        _of_currency(str(name), rows, features, interval, start, end, stride_minutes)
        for (name,), rows in indicators.group_by(["currency"])
        if rows.height
    ]
    if not parts:
        empty = np.empty((0, len(features)))
        return Samples(features, np.empty(0, object), np.empty(0, "datetime64[us]"), empty, np.empty(0), 0)
    currency = np.concatenate([part.currency for part in parts])
    time = np.concatenate([part.time for part in parts])
    order = np.lexsort((currency.astype(str), time))
    X = np.concatenate([part.X for part in parts])[order]
    y = np.concatenate([part.y for part in parts])[order]
    return Samples(features, currency[order], time[order], X, y, sum(part.dropped for part in parts))


def _of_currency(
    currency: str,
    rows: pl.DataFrame,
    features: tuple[str, ...],
    interval: str,
    start: datetime,
    end: datetime,
    stride_minutes: int | None,
) -> Samples:
    base = floor_hour(start) - lookback(features)
    stop = end + HORIZON + HOUR
    closes = to_grid(rows["time"], rows["close"], interval, base, floor_hour(stop))
    inside = rows.filter(pl.col("time").is_between(start, end, closed="left")).sort("time")
    if stride_minutes is not None:
        known_at = pl.col("time") + interval_delta(interval)
        inside = inside.filter(known_at.dt.epoch("s") % (stride_minutes * 60) == 0)
    slots = _slots(inside["time"], closes)
    flat = closes.values.ravel()
    per_hour = closes.values.shape[1]
    X = np.empty((inside.height, len(features)))
    for column, feature in enumerate(features):
        hours = lag_hours(feature)
        if hours is None:
            X[:, column] = inside[feature].fill_null(np.nan).to_numpy()
        else:
            X[:, column] = flat[slots - hours * per_hour] / flat[slots] - 1
    y = label_array(closes.values).ravel()[slots]
    whole = np.isfinite(X).all(axis=1)
    time = inside["time"].dt.replace_time_zone(None).to_numpy()[whole]
    names = np.full(int(whole.sum()), currency, dtype=object)
    return Samples(features, names, time, X[whole], y[whole], int((~whole).sum()))


def _slots(times: pl.Series, grid: HourGrid) -> np.ndarray:
    step = int(interval_delta(grid.interval).total_seconds()) * 1_000_000
    return (times.dt.epoch("us").to_numpy() - int(grid.start.timestamp()) * 1_000_000) // step


def label_end(times: np.ndarray, interval: str) -> np.ndarray:
    """Instant (datetime64[us]) at which each row's label is known: time + interval + 24 h."""
    return times + np.timedelta64(interval_delta(interval)) + np.timedelta64(HORIZON_HOURS, "h")

"""Model inputs: stored indicators, and lags of the close derived on read.

`close_lag_<h>h` of row t is close(t - h hours) / close(t) - 1: what the price of h hours ago is
relative to now, known when the row is. Other features are stored indicator columns, or derived on read
by a `DerivedFeature` that another package brings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

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


@dataclass(frozen=True)
class DerivedFeature:
    """A feature computed on read, of the closes of one currency.

    Attributes:
        lookback: span that a row reads, `(t - lookback, t]`, in whole hours.
        figure: of closes (hours, rows an hour), oldest first, NaN where none is stored, the values of the same
            shape, NaN where not known. An hour earlier is one place earlier on the first axis.
    """

    name: str
    lookback: timedelta
    figure: Callable[[np.ndarray], np.ndarray]


Derived = Mapping[str, DerivedFeature]
NONE: Derived = MappingProxyType({})


def is_stored(feature: str) -> bool:
    """Whether a feature is a stored column."""
    return feature in INDICATOR_NAMES


def require_features(features: Iterable[str], derived: Derived = NONE) -> tuple[str, ...]:
    """The features as a tuple when each can be computed; raises `UsageError` otherwise."""
    features = tuple(features)
    unknown = [name for name in features if not is_stored(name) and lag_hours(name) is None and name not in derived]
    if unknown or not features:
        raise UsageError(
            f"unknown features: {', '.join(unknown) or 'none given'}; another package may bring them: install it"
        )
    return features


def lookback(features: Iterable[str], derived: Derived = NONE) -> timedelta:
    """How far before a row its features read, `(t - lookback, t]`; a lag of h hours reads t - h itself.

    Raises:
        UsageError: one of them is unknown.
    """
    return max(_lookback_of(name, derived) for name in require_features(features, derived))


def _lookback_of(feature: str, derived: Derived) -> timedelta:
    hours = lag_hours(feature)
    if hours is not None:
        return (hours + 1) * HOUR
    return _LOOKBACKS[feature] if is_stored(feature) else derived[feature].lookback


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
    derived: Derived = NONE,
) -> Samples:
    """Features and labels of the indicator rows with time in [start, end).

    Args:
        indicators: columns currency, time, close and every stored feature. Rows before `start`
            feed the lags, rows after `end` the labels: a label whose close is not in the frame is
            NaN, so cutting the frame at a cutoff is what keeps the future out.
        stride_minutes: keep only rows whose known_at is a multiple of it (since 1970), a
            deterministic thinning of heavily overlapping rows; None keeps all.
        derived: features that are neither stored nor lags, by name.
    """
    parts = [
        _of_currency(str(name), rows, features, interval, start, end, stride_minutes, derived)
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
    derived: Derived,
) -> Samples:
    base = floor_hour(start) - lookback(features, derived)
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
        if hours is not None:
            X[:, column] = flat[slots - hours * per_hour] / flat[slots] - 1
        elif is_stored(feature):
            X[:, column] = inside[feature].fill_null(np.nan).to_numpy()
        else:
            X[:, column] = derived[feature].figure(closes.values).ravel()[slots]
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

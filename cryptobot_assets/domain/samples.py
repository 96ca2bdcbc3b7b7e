"""Rows for training or scoring: features and label of each, laid in one matrix, sorted by time and then currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.features import NONE, Derived, is_stored, lag_hours, lookback
from cryptobot_assets.domain.grid import MICROSECOND, HourGrid, lay, microseconds
from cryptobot_assets.domain.intervals import HOUR, floor_hour, interval_delta
from cryptobot_assets.domain.labels import HORIZON, HORIZON_HOURS, label_array

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
ROWS_WORTH_THREADS = 50_000
"""Fewer rows are laid before a thread has begun."""

MOVED_ROWS = 4096


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

    def take(self, rows: np.ndarray | slice) -> Samples:
        """The rows named by an index, a mask or a slice."""
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
    threads: int = 1,
) -> Samples:
    """Features and labels of the indicator rows with time in [start, end).

    Args:
        indicators: columns currency, time, close and every stored feature. Rows before `start`
            feed the lags, rows after `end` the labels: a label whose close is not in the frame is
            NaN, so cutting the frame at a cutoff is what keeps the future out.
        stride_minutes: keep only rows whose known_at is a multiple of it (since 1970), a
            deterministic thinning of heavily overlapping rows; None keeps all.
        derived: features that are neither stored nor lags, by name.
        threads: among which the currencies of many rows are shared; the bits are the same.
    """
    spans = _spans(indicators, features, interval, start, end, stride_minutes, derived)
    dropped = sum(span.lacking for span in spans)
    time = np.concatenate([np.empty(0, np.int64), *(span.times for span in spans)])
    owner = np.repeat(np.arange(len(spans)), [len(span.times) for span in spans])
    order = np.argsort(time, kind="stable")
    X, y, whole = np.empty((len(order), len(features))), np.empty(len(order)), np.empty(len(order), dtype=bool)

    def put(span: _Span, own: np.ndarray) -> None:
        columns = _columns(span, features, derived)
        X[own] = columns.T
        whole[own] = np.isfinite(columns).all(axis=0)
        y[own] = label_array(span.closes.values).ravel()[span.slots]

    owned = _places(order, [len(span.times) for span in spans])
    if threads > 1 and len(order) >= ROWS_WORTH_THREADS:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(put, spans, owned))
    else:
        list(map(put, spans, owned))
    names = np.array([span.currency for span in spans], dtype=object)
    kept = order[whole]
    times = time[kept].view("datetime64[us]")
    return Samples(features, names[owner[kept]], times, _packed(X, whole), y[whole], dropped + len(order) - len(kept))


def join_samples(parts: Sequence[Samples], features: tuple[str, ...]) -> Samples:
    """Rows of several currencies as one, sorted by time and then currency; none without parts."""
    if not parts:
        empty = np.empty((0, len(features)))
        return Samples(features, np.empty(0, object), np.empty(0, "datetime64[us]"), empty, np.empty(0), 0)
    currency = np.concatenate([part.currency for part in parts])
    time = np.concatenate([part.time for part in parts])
    order = np.lexsort((currency.astype(str), time))
    X, y = np.empty((len(order), len(features))), np.empty(len(order))
    for part, own in zip(parts, _places(order, [len(part) for part in parts]), strict=True):
        X[own], y[own] = part.X, part.y
    return Samples(features, currency[order], time[order], X, y, sum(part.dropped for part in parts))


def _places(order: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    """Where the rows of each part, one part after the other, come to stand in an order of them all."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return np.split(places, np.cumsum(lengths)[:-1])


@dataclass(frozen=True)
class _Span:
    """One currency's rows of a range.

    Attributes:
        times: (n,) microseconds since 1970.
        slots: their places in the flat closes; a slice where no row lacks between them, which reads faster.
        closes: of the range, of what its features read before it and its labels after it.
        stored: (n,) values of each stored feature.
        lacking: rows of the range that were left out, since what a feature is made of is not there.
    """

    currency: str
    times: np.ndarray
    slots: np.ndarray | slice
    closes: HourGrid
    stored: Mapping[str, np.ndarray]
    lacking: int


def _spans(
    rows: pl.DataFrame,
    features: tuple[str, ...],
    interval: str,
    start: datetime,
    end: datetime,
    stride_minutes: int | None,
    derived: Derived,
) -> list[_Span]:
    """The rows with time in [start, end) of each currency, in order of their names."""
    runs = rows["currency"].rle().struct.unnest()
    falls = np.flatnonzero(np.diff(microseconds(rows["time"])) < 0) + 1
    if runs["value"].is_duplicated().any() or not np.isin(falls, runs["len"].cum_sum().to_numpy()).all():
        rows = rows.sort("currency", "time")
        runs = rows["currency"].rle().struct.unnest()
    base, stop = floor_hour(start) - lookback(features, derived), floor_hour(end + HORIZON + HOUR)
    times, closes = microseconds(rows["time"]), rows["close"].to_numpy()
    stored = {name: rows[name].to_numpy() for name in features if is_stored(name)}
    step = interval_delta(interval) // MICROSECOND
    inside = (times >= (start - EPOCH) // MICROSECOND) & (times < (end - EPOCH) // MICROSECOND)
    if stride_minutes is not None:
        inside &= (times + step) // SECOND % (stride_minutes * 60) == 0
    slots = (times - (base - EPOCH) // MICROSECOND) // step
    lags = [hours for name in features if (hours := lag_hours(name)) is not None]
    spans, first = [], 0
    for length, currency in runs.iter_rows():
        own = slice(first, first + length)
        grid = lay(times[own], closes[own], interval, base, stop)
        asked = own.start + np.flatnonzero(inside[own])
        known = _known(grid, _slots(slots[asked]), lags)
        for values in stored.values():
            known &= np.isfinite(values[asked])
        chosen = asked[known]
        spans.append(
            _Span(
                currency, times[chosen], _slots(slots[chosen]), grid,
                {name: values[chosen] for name, values in stored.items()}, len(asked) - len(chosen),
            )
        )  # fmt: skip
        first += length
    return sorted(spans, key=lambda span: span.currency)


def _known(closes: HourGrid, slots: np.ndarray | slice, lags: Sequence[int]) -> np.ndarray:
    """Whether the close of each row is there and those of all lags."""
    there = np.isfinite(closes.values.ravel())
    known: np.ndarray = there[slots].copy()
    for hours in lags:
        known &= there[_earlier(slots, hours * closes.values.shape[1])]
    return known


def _slots(places: np.ndarray) -> np.ndarray | slice:
    """Rising places as a slice when they are all there are between the first and the last."""
    if len(places) and places[-1] - places[0] == len(places) - 1:
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def _earlier(slots: np.ndarray | slice, by: int) -> np.ndarray | slice:
    return slice(slots.start - by, slots.stop - by) if isinstance(slots, slice) else slots - by


def _columns(span: _Span, features: tuple[str, ...], derived: Derived) -> np.ndarray:
    """Values of the features, (k, n), NaN where not known."""
    flat, per_hour = span.closes.values.ravel(), span.closes.values.shape[1]
    close = flat[span.slots]
    columns = np.empty((len(features), len(span.times)))
    for column, feature in zip(columns, features, strict=True):
        hours = lag_hours(feature)
        if hours is not None:
            np.divide(flat[_earlier(span.slots, hours * per_hour)], close, out=column)
            np.subtract(column, 1, out=column)
        elif feature in span.stored:
            column[:] = span.stored[feature]
        else:
            column[:] = derived[feature].figure(span.closes.values).ravel()[span.slots]
    return columns


def _packed(rows: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The whole rows, moved up in place: a second copy of so many is what costs most of the memory."""
    kept = np.flatnonzero(whole)
    if len(kept) < len(rows):
        for first in range(0, len(kept), MOVED_ROWS):
            moved = kept[first : first + MOVED_ROWS]
            rows[first : first + len(moved)] = rows[moved]
    return rows[: len(kept)]


def label_end(times: np.ndarray, interval: str) -> np.ndarray:
    """Instant (datetime64[us]) at which each row's label is known: time + interval + 24 h."""
    return times + np.timedelta64(interval_delta(interval)) + np.timedelta64(HORIZON_HOURS, "h")

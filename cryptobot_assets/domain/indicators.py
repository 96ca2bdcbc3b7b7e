r"""The stored indicators: point-in-time columns computed from closes alone.

A row of time t is known at t + interval and reads only closes of rows at or before t. Hours and
days are samples of `close` spaced one hour or one day apart, ending at the row::

    ... x . . . x . . . x . . . x   <- the row, hourly samples are marked x, minutes between are not read
        |<-1h->|                t

Every figure depends on the closes of its own lookback only and not on where a load began: sums
add their samples in one fixed order, newest first; the exponential averages of RSI and MACD are
weighted sums over exactly the trailing 672 hourly closes. A missing close makes the figures that
touch it null. A figure whose formula divides zero by zero (a flat lookback) is null too.

Sources: RSI after Wilder, New Concepts in Technical Trading Systems (1978), smoothing 1/14; MACD
after Appel, exponential averages with alpha = 2 / (n + 1); Bollinger %b with the population
standard deviation, two each side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
import polars as pl
from threadpoolctl import ThreadpoolController

from cryptobot_assets.domain.grid import HourGrid, to_grid
from cryptobot_assets.domain.intervals import DAY, HOUR, day_start
from cryptobot_assets.domain.klines import UTC_TIME

LOOKBACK_HOURS = 672
LOOKBACK = LOOKBACK_HOURS * HOUR
LONGEST_LOOKBACK = 99 * DAY
"""`ma25_99d` alone reaches this far back; everything else reaches `LOOKBACK`."""

DAY_HOURS = 24
DIFFERENCES = {
    "ma7_25h": (7, 25, 1),
    "ma25_99h": (25, 99, 1),
    "ma7_25d": (7, 25, DAY_HOURS),
    "ma25_99d": (25, 99, DAY_HOURS),
}
"""Samples of the shorter and the longer mean, and the hours between samples."""


@dataclass(frozen=True)
class Indicator:
    """One stored column: its name and the span it reads, `(t - lookback, t]`, in interval steps."""

    name: str
    lookback: timedelta


INDICATORS: tuple[Indicator, ...] = (
    Indicator("close", timedelta(0)),
    Indicator("close_minmax_scale", LOOKBACK),
    Indicator("ma7_25h", 25 * HOUR),
    Indicator("ma25_99h", 99 * HOUR),
    Indicator("ma7_25d", 25 * DAY),
    Indicator("ma25_99d", LONGEST_LOOKBACK),
    Indicator("ma7_25h_scale", 25 * HOUR),
    Indicator("ma25_99h_scale", 99 * HOUR),
    Indicator("ma7_25d_scale", 25 * DAY),
    Indicator("ma25_99d_scale", LONGEST_LOOKBACK),
    Indicator("rsi_14h", LOOKBACK),
    Indicator("macd_12_26_9h", LOOKBACK),
    Indicator("bollinger_20h", 20 * HOUR),
)

INDICATOR_NAMES: tuple[str, ...] = tuple(indicator.name for indicator in INDICATORS)

INDICATOR_SCHEMA: dict[str, pl.DataType] = {
    "currency": pl.String(),
    "time": UTC_TIME,
    **{name: pl.Float64() for name in INDICATOR_NAMES},
}


def indicator_frame(
    klines: pl.DataFrame, interval: str, start: datetime, end: datetime, names: Collection[str] = INDICATOR_NAMES
) -> pl.DataFrame:
    """Indicators of every kline with time in [start, end).

    Args:
        klines: columns currency, time, close; any currencies, unique keys. To be complete it must
            reach back `LONGEST_LOOKBACK` before `start`; what it lacks is a gap.
        interval: "1m" or "1h".
        start, end: whole days (UTC).
        names: the indicators wanted; others are not computed.

    Returns:
        One row a kline in the range, columns currency, time and those wanted, in the order of `INDICATOR_SCHEMA`,
        sorted by currency and time.

    Raises:
        ValueError: the range does not begin and end with whole days.
    """
    if day_start(start) != start or day_start(end) != end:
        raise ValueError(f"indicators are made of whole days (UTC), not of {start} to {end}")
    parts = [
        _of_currency(name, rows, interval, start, end, names)
        for (name,), rows in sorted(klines.group_by(["currency"]), key=lambda item: str(item[0][0]))
    ]
    kept = {name: kind for name, kind in INDICATOR_SCHEMA.items() if name in {"currency", "time", *names}}
    return pl.concat(parts) if parts else pl.DataFrame(schema=kept)


def _of_currency(
    currency: str, rows: pl.DataFrame, interval: str, start: datetime, end: datetime, names: Collection[str]
) -> pl.DataFrame:
    grid = to_grid(rows["time"], rows["close"], interval, start - LONGEST_LOOKBACK, end)
    first, last = grid.hour_index(start), len(grid.values)
    columns = indicator_arrays(grid, first, names)
    present = ~np.isnan(grid.values[first:].ravel())
    frame = pl.DataFrame({"time": grid.times(first, last)[present], **{k: v[present] for k, v in columns.items()}})
    return frame.select(
        pl.lit(currency).alias("currency"),
        pl.col("time").dt.replace_time_zone("UTC"),
        pl.col(list(columns)).fill_nan(None),
    )


def indicator_arrays(
    grid: HourGrid, first_hour: int, names: Collection[str] = INDICATOR_NAMES
) -> dict[str, np.ndarray]:
    """The indicators for the grid's rows from `first_hour` on, flat float64, NaN where unknown.

    `first_hour` is a whole number of days after the grid's start and at least 99 days into it.
    """
    closes, wanted = grid.values, set(names)
    columns = {"close": closes[first_hour:], **_differences(closes, first_hour, wanted)}
    if "close_minmax_scale" in wanted:
        columns["close_minmax_scale"] = _minmax_scale(closes, first_hour)
    if wanted & {"rsi_14h", "macd_12_26_9h"}:
        columns["rsi_14h"], columns["macd_12_26_9h"] = _rsi_and_macd(closes, first_hour)
    if "bollinger_20h" in wanted:
        columns["bollinger_20h"] = _bollinger(closes, first_hour)
    return {name: columns[name].ravel() for name in INDICATOR_NAMES if name in wanted}


def _differences(closes: np.ndarray, first_hour: int, wanted: AbstractSet[str]) -> dict[str, np.ndarray]:
    """Those wanted of the differences of means, and each by the close."""
    columns = {}
    for stride in (1, DAY_HOURS):
        pairs = {
            name: (short, long)
            for name, (short, long, spaced) in DIFFERENCES.items()
            if spaced == stride and wanted & {name, f"{name}_scale"}
        }
        if pairs:
            means = _means(closes, first_hour, stride, max(long for _, long in pairs.values()))
            for name, (short, long) in pairs.items():
                columns[name] = means[short] - means[long]
                columns[f"{name}_scale"] = columns[name] / closes[first_hour:]
    return columns


def _means(closes: np.ndarray, first_hour: int, stride: int, most: int) -> dict[int, np.ndarray]:
    """Means of the 7, 25 and 99 samples `stride` hours apart ending at each row, newest added first, up to `most`."""
    last = len(closes)
    total = closes[first_hour:].copy()
    means = {}
    for count in range(2, most + 1):
        shift = (count - 1) * stride
        total += closes[first_hour - shift : last - shift]
        if count in (7, 25, 99):
            means[count] = total / count
    return means


def _minmax_scale(closes: np.ndarray, first_hour: int) -> np.ndarray:
    per_hour = closes.shape[1]
    width = LOOKBACK_HOURS * per_hour
    flat = closes[first_hour - LOOKBACK_HOURS :].ravel()
    known = ~np.isnan(flat)
    low = _trailing(np.minimum, np.where(known, flat, np.inf), width, np.inf)
    high = _trailing(np.maximum, np.where(known, flat, -np.inf), width, -np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(high > low, (flat - low) / (high - low), np.nan)
    scaled[~whole_window(known, width)] = np.nan
    return scaled[LOOKBACK_HOURS * per_hour :].reshape(-1, per_hour)


def _trailing(extreme: np.ufunc, values: np.ndarray, width: int, nothing: float) -> np.ndarray:
    """The least or greatest of the trailing `width` values at each place, `nothing` standing before the first.

    After van Herk (1992): of blocks `width` long, each window is the end of one and the start of the
    next, so two running extremes a block give them all.
    """
    count = len(values)
    padded = np.full(-(-(count + width - 1) // width) * width, nothing)
    padded[width - 1 : width - 1 + count] = values
    blocks = padded.reshape(-1, width)
    forward = extreme.accumulate(blocks, axis=1).ravel()
    backward = extreme.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    trailing: np.ndarray = extreme(backward[:count], forward[width - 1 : width - 1 + count])
    return trailing


def whole_window(known: np.ndarray, width: int) -> np.ndarray:
    """True where the trailing `width` entries (the current one included) are all true, there being as many."""
    count = np.concatenate([[0], np.cumsum(known)])
    whole = np.zeros(len(known), dtype=bool)
    whole[width - 1 :] = count[width:] - count[:-width] == width
    return whole


def _bollinger(closes: np.ndarray, first_hour: int) -> np.ndarray:
    last = len(closes)
    close = closes[first_hour:]
    total, squares = np.zeros_like(close), np.zeros_like(close)
    for shift in range(1, 20):
        difference = closes[first_hour - shift : last - shift] - close
        total += difference
        squares += difference * difference
    mean = total / 20
    deviation = np.sqrt(np.maximum(squares / 20 - mean * mean, 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(deviation > 0, (2 * deviation - mean) / (4 * deviation), np.nan)


def _ema_step(alpha: float) -> Callable[[np.ndarray], np.ndarray]:
    """The recursion s_k = s_(k-1) + alpha (x_k - s_(k-1)), s_0 = x_0, along the first axis."""

    def smooth(values: np.ndarray) -> np.ndarray:
        smoothed = values.copy()
        for step in range(1, len(values)):
            smoothed[step] = smoothed[step - 1] + alpha * (values[step] - smoothed[step - 1])
        return smoothed

    return smooth


@lru_cache(maxsize=1)
def _macd_weights() -> np.ndarray:
    """Weights of the 672 trailing closes, oldest first, whose sum of products is the MACD histogram."""
    impulses = np.eye(LOOKBACK_HOURS)
    line = _ema_step(2 / 13)(impulses) - _ema_step(2 / 27)(impulses)
    weights: np.ndarray = (line - _ema_step(2 / 10)(line))[-1]
    return weights


@lru_cache(maxsize=1)
def _wilder_weights() -> np.ndarray:
    """Weights of the 671 trailing changes, oldest first: Wilder's average after a seed of 14 plain ones."""
    changes = LOOKBACK_HOURS - 1
    seed = np.zeros((1, changes))
    seed[0, :14] = 1 / 14
    weights: np.ndarray = _ema_step(1 / 14)(np.concatenate([seed, np.eye(changes)[14:]]))[-1]
    return weights


@lru_cache(maxsize=4)
def _banded(kind: str) -> np.ndarray:
    """The (24, 672 + 23) matrix that applies the trailing weights to each hour of one day at once."""
    weights = _macd_weights() if kind == "macd" else np.concatenate([[0.0], _wilder_weights()])
    banded = np.zeros((DAY_HOURS, LOOKBACK_HOURS + DAY_HOURS - 1))
    for hour in range(DAY_HOURS):
        banded[hour, hour : hour + LOOKBACK_HOURS] = weights
    return banded


@lru_cache(maxsize=1)
def _linear_algebra() -> ThreadpoolController:
    """Products this small are slower, and their bits less certain, on several threads."""
    return ThreadpoolController()


def _rsi_and_macd(closes: np.ndarray, first_hour: int) -> tuple[np.ndarray, np.ndarray]:
    r"""RSI and MACD histogram / close, one day of rows a matrix product.

    The product's shape is the same for every day, whatever the load, so a row's bits are too.
    """
    per_hour = closes.shape[1]
    window = closes[first_hour - LOOKBACK_HOURS + 1 :]
    known = ~np.isnan(window)
    filled = np.where(known, window, 0.0)
    change = np.diff(filled, axis=0, prepend=filled[:1])
    known_change = known & np.concatenate([known[:1], known[:-1]])
    change[~known_change] = 0.0
    gains, losses = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    hours = len(closes) - first_hour
    gain, loss, histogram = (np.empty((hours, per_hour)) for _ in range(3))
    with _linear_algebra().limit(limits=1):
        for hour in range(0, hours, DAY_HOURS):
            span, out = slice(hour, hour + LOOKBACK_HOURS + DAY_HOURS - 1), slice(hour, hour + DAY_HOURS)
            gain[out] = _banded("wilder") @ gains[span]
            loss[out] = _banded("wilder") @ losses[span]
            histogram[out] = _banded("macd") @ filled[span]
    count = np.cumsum(np.concatenate([np.zeros((1, per_hour), dtype=int), known]), axis=0)
    whole = count[LOOKBACK_HOURS:] - count[:-LOOKBACK_HOURS] == LOOKBACK_HOURS
    with np.errstate(invalid="ignore", divide="ignore"):
        rsi = np.where(whole & (gain + loss > 0), 100 * gain / (gain + loss), np.nan)
        macd = np.where(whole, histogram / closes[first_hour:], np.nan)
    return rsi, macd

"""The feature matrix by a bare NumPy kernel: closes already in memory, nothing read, this one set of features alone.

    python -m benchmarks.peers.matrix_limit KLINES SHOWN

The bound that a way on NumPy can come near: one pass a currency, running sums for the means, running extremes in
blocks (van Herk, 1992) for the scale, values written once into one float64 matrix.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import polars as pl

from benchmarks.peers import lags
from benchmarks.peers.contestant import serve
from benchmarks.peers.shown import sampled, show

Made = tuple[np.ndarray, np.ndarray, list[np.ndarray]]
"""Features, label, and the hours of each currency that have all features."""


def main() -> None:
    """Lay the closes on their hours; then answer."""
    rows = pl.read_parquet(sys.argv[1], columns=["currency", "time", "close"])
    grids = []
    for name, own in sorted(rows.partition_by("currency", as_dict=True).items()):
        hours = own["time"].dt.epoch("s").to_numpy() // 3600
        closes = np.full(hours[-1] - hours[0] + 1, np.nan)
        closes[hours - hours[0]] = own["close"].to_numpy()
        grids.append((str(name[0]), int(hours[0]), closes))
    most = sum(len(closes) for _, _, closes in grids)

    def work() -> Made:
        X, y, first = np.empty((most, len(lags.NAMES))), np.empty(most), 0
        places = []
        for _, _, closes in grids:
            columns, label = kernel(closes)
            whole = np.flatnonzero(np.isfinite(columns).all(axis=0))
            after = first + len(whole)
            X[first:after] = columns.T if len(whole) == len(closes) else columns[:, whole].T
            y[first:after] = label[whole]
            places.append(whole)
            first = after
        return X[:first], y[:first], places

    def facts(made: Made) -> dict[str, Any]:
        X, y, places = made
        names = np.concatenate([np.full(len(one), name) for (name, _, _), one in zip(grids, places, strict=True)])
        hours = np.concatenate([first + one for (_, first, _), one in zip(grids, places, strict=True)])
        time = hours.astype("datetime64[h]")
        seen = sampled(time)
        return show(sys.argv[2], names[seen], time[seen], np.column_stack([X[seen], y[seen]]), len(X))

    serve(work, facts)


def kernel(closes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (33, hours) and label (hours,) of one currency's closes, NaN where not known."""
    hours = len(closes)
    known = np.isfinite(closes)
    filled = np.where(known, closes, 0.0)
    columns = np.full((len(lags.NAMES), hours), np.nan)
    count = np.concatenate([[0], np.cumsum(known)])
    low, high = (_trailing(one, closes, lags.SCALE_HOURS, known) for one in (np.minimum, np.maximum))
    whole = count[lags.SCALE_HOURS :] - count[: -lags.SCALE_HOURS] == lags.SCALE_HOURS
    ready = slice(lags.SCALE_HOURS - 1, None)
    np.divide((closes - low)[ready], (high - low)[ready], out=columns[0, ready], where=whole & (high > low)[ready])
    for row, (few, many) in enumerate(lags.HOURLY_MEANS, start=1):
        columns[row] = (_mean(filled, count, few) - _mean(filled, count, many)) / closes
    short, long = (_daily_mean(closes, days) for days in lags.DAILY_MEANS)
    columns[3] = (short - long) / closes
    for column, lag in zip(columns[4:], lags.LAG_HOURS, strict=True):
        np.divide(closes[:-lag], closes[lag:], out=column[lag:])
        column[lag:] -= 1
    label = np.full(hours, np.nan)
    label[: -lags.LABEL_HOURS] = closes[lags.LABEL_HOURS :] / closes[: -lags.LABEL_HOURS] - 1
    return columns, label


def _mean(filled: np.ndarray, count: np.ndarray, hours: int) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(filled)])
    mean = np.full(len(filled), np.nan)
    whole = count[hours:] - count[:-hours] == hours
    mean[hours - 1 :][whole] = ((total[hours:] - total[:-hours]) / hours)[whole]
    return mean


def _daily_mean(closes: np.ndarray, days: int) -> np.ndarray:
    total = closes.copy()
    for shift in range(lags.DAY_HOURS, days * lags.DAY_HOURS, lags.DAY_HOURS):
        total[shift:] += closes[:-shift]
    total[: (days - 1) * lags.DAY_HOURS] = np.nan
    return total / days


def _trailing(extreme: np.ufunc, values: np.ndarray, width: int, known: np.ndarray) -> np.ndarray:
    nothing = np.inf if extreme is np.minimum else -np.inf
    padded = np.full(-(-(len(values) + width - 1) // width) * width, nothing)
    padded[width - 1 : width - 1 + len(values)] = np.where(known, values, nothing)
    blocks = padded.reshape(-1, width)
    forward = extreme.accumulate(blocks, axis=1).ravel()
    backward = extreme.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    trailing: np.ndarray = extreme(backward[: len(values)], forward[width - 1 : width - 1 + len(values)])
    return trailing


if __name__ == "__main__":
    main()

"""Leaks that people really make, each planted in an otherwise untouched pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl

from cryptobot_assets.audit.pipeline import (
    OWN,
    RANKED,
    Pipeline,
    Predict,
    finished,
    fit_ridge,
    own_rows,
    purged_folds,
    ranked_rows,
    tuned_on,
)
from cryptobot_assets.domain.instants import latest
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.relative import less_the_market
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.domain.splits import Fold, walk_forward
from cryptobot_assets.models.base import Params

ByCurrency = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _with_column(samples: Samples, change: ByCurrency) -> Samples:
    """The first column of each currency's rows as `change` makes it of that column and the labels."""
    X = samples.X.copy()
    for currency in np.unique(samples.currency.astype(str)):
        rows = np.flatnonzero(samples.currency == currency)
        X[rows, 0] = change(X[rows, 0], samples.y[rows])
    return Samples(samples.features, samples.currency, samples.time, X, samples.y, samples.dropped)


def _column(change: ByCurrency) -> Pipeline:
    return replace(OWN, rows=lambda klines, now: _with_column(own_rows(klines, now), change))


def _shifted(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.append(values[1:], values[-1:])


def _centred(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    padded = np.pad(values, 2, mode="edge")
    smooth: np.ndarray = np.lib.stride_tricks.sliding_window_view(padded, 5).mean(axis=1)
    return smooth


def _scaled_by_all(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = (values - values.mean()) / values.std()
    return scaled


def _back_filled(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    holes = np.random.default_rng(3).random(len(values)) < 0.5
    filled = pl.Series(np.where(holes, np.nan, values)).fill_nan(None).fill_null(strategy="backward")
    return filled.fill_null(0.0).to_numpy()


def _label_itself(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    filled: np.ndarray = np.nan_to_num(labels)
    return filled


def _sum_to_the_end(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.cumsum(values[::-1])[::-1]


def _unfinished_rows(klines: pl.DataFrame, now: datetime) -> Samples:
    return own_rows(klines, now + HOUR)


def _early_labels(klines: pl.DataFrame, now: datetime) -> Samples:
    known = own_rows(klines, now)
    later = own_rows(klines, now + HORIZON)
    return Samples(known.features, known.currency, known.time, known.X, later.y[: len(known)], known.dropped)


def _repeated_rows(klines: pl.DataFrame, now: datetime) -> Samples:
    samples = own_rows(klines, now)
    again = np.sort(np.concatenate([np.arange(len(samples)), np.arange(0, len(samples), 40)]))
    return samples.take(again)


def _market_of_tomorrow(klines: pl.DataFrame, now: datetime) -> Samples:
    """A rank against what all currencies gained since, not up to, the row."""
    samples = ranked_rows(klines, now)
    X = samples.X.copy()
    X[:, 0] = np.nan_to_num(samples.y - less_the_market(samples))
    return Samples(samples.features, samples.currency, samples.time, X, samples.y, samples.dropped)


def _survivors_ranked(klines: pl.DataFrame, now: datetime) -> Samples:
    """Ranks among the currencies that still trade at the end."""
    known = finished(klines, now)
    last = known.group_by("currency").agg(pl.col("time").max())
    alive = last.filter(pl.col("time") >= latest(last["time"]) - DAY)["currency"].implode()
    return ranked_rows(klines.filter(pl.col("currency").is_in(alive)), now)


def _shuffled(samples: Samples) -> list[Fold]:
    order = np.random.default_rng(0).permutation(len(samples))
    parts = np.array_split(order, 3)
    return [Fold(np.sort(np.concatenate(parts[:k] + parts[k + 1 :])), np.sort(parts[k])) for k in range(3)]


def _unpurged(samples: Samples) -> list[Fold]:
    return walk_forward(samples.time, folds=3, horizon=HOUR)


def _overlapping(samples: Samples) -> list[Fold]:
    return [Fold(np.concatenate([fold.train, fold.test[:20]]), fold.test) for fold in purged_folds(samples)]


def _scaled_with_the_test(samples: Samples, train: np.ndarray) -> Predict:
    """Columns cut at one deviation of all rows, those to be tested on included."""
    centre, spread = samples.X.mean(axis=0), samples.X.std(axis=0)

    def scale(rows: np.ndarray) -> np.ndarray:
        clipped: np.ndarray = np.clip((rows - centre) / np.where(spread > 0, spread, 1.0), -1, 1)
        return clipped

    scaled = Samples(samples.features, samples.currency, samples.time, scale(samples.X), samples.y, samples.dropped)
    inner = fit_ridge(scaled, train)
    return lambda rows: inner(scale(rows))


def _tuned_on_everything(samples: Samples, cutoff: datetime) -> Params:
    return tuned_on(samples, np.isfinite(samples.y))


def _survivors(klines: pl.DataFrame, moment: datetime) -> tuple[str, ...]:
    last = klines.group_by("currency").agg(pl.col("time").max())
    return tuple(sorted(last.filter(pl.col("time") >= latest(last["time"]) - DAY)["currency"]))


LEAKS: dict[str, Pipeline] = {
    "a column shifted from the future": _column(_shifted),
    "a centred window": _column(_centred),
    "scaling by the whole series": _column(_scaled_by_all),
    "back-filled holes": _column(_back_filled),
    "the label as a feature": _column(_label_itself),
    "a sum that runs to the end": _column(_sum_to_the_end),
    "statistics of all currencies from the future": replace(RANKED, rows=_market_of_tomorrow),
    "ranks among survivors": replace(RANKED, rows=_survivors_ranked),
    "the unfinished kline": replace(OWN, rows=_unfinished_rows),
    "labels before their time": replace(OWN, rows=_early_labels),
    "rows repeated across the split": replace(OWN, rows=_repeated_rows),
    "shuffled folds": replace(OWN, folds=_shuffled),
    "no purge": replace(OWN, folds=_unpurged),
    "test rows in training": replace(OWN, folds=_overlapping),
    "a scaler fitted on test rows": replace(OWN, fit=_scaled_with_the_test),
    "tuning on the test span": replace(OWN, choose=_tuned_on_everything),
    "a universe of survivors": replace(OWN, universe=_survivors),
}
"""By name: a pipeline with this one leak."""

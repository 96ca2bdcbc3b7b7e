"""The way from klines to a model, in the pieces an audit looks at and a leak can be planted in.

The untouched pipeline is the platform's own code: the same features, labels, folds, tuning and
fitting that the assets call, on klines held in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.indicators import INDICATOR_NAMES, indicator_frame
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.relative import HourlyMarket, relative_samples
from cryptobot_assets.domain.samples import Samples, make_samples
from cryptobot_assets.domain.splits import Fold, walk_forward
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import Params, defaults
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared, search_space
from cryptobot_assets.models.tuning import tune
from cryptobot_assets.plugged import FEATURES

INTERVAL = "1h"
START = datetime.fromisoformat("2024-01-01T00:00:00+00:00")
DAYS = 130
CURRENCIES = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "EEEUSDT", "FFFUSDT")
DELISTED_DAYS = 118
"""The last currency stops trading after so many days."""

OWN_FEATURES = (*DEFAULT_FEATURES, *(name for name in INDICATOR_NAMES if name not in (*DEFAULT_FEATURES, "close")))
FOLDS, TRIALS = 3, 3

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pipeline:
    """What an audit calls.

    Attributes:
        rows: klines and the instant it is now give every complete row known by then; labels that
            are not known by then are NaN.
        folds: of training rows in order of time.
        fit: a model of some rows' X and y that may use nothing of the other rows; gives its predictions.
        choose: parameters, from all rows and the instant from which on rows are out of sample.
        universe: klines and an instant give the currencies that could be traded then.
    """

    rows: Callable[[pl.DataFrame, datetime], Samples]
    folds: Callable[[Samples], list[Fold]]
    fit: Callable[[Samples, np.ndarray], Predict]
    choose: Callable[[Samples, datetime], Params]
    universe: Callable[[pl.DataFrame, datetime], tuple[str, ...]]


def make_market(seed: int) -> pl.DataFrame:
    """Hourly klines of a random walk: currencies that move together, one delisted before the end."""
    draw = np.random.default_rng(seed)
    hours = DAYS * 24
    together = draw.normal(0, 0.006, hours)
    times = pl.datetime_range(START, START + (hours - 1) * HOUR, HOUR, eager=True, time_unit="us", time_zone="UTC")
    parts = []
    for place, currency in enumerate(CURRENCIES):
        closes = 100.0 * (place + 1) * np.exp(np.cumsum(together + draw.normal(0, 0.01, hours)))
        volume = np.exp(draw.normal(6, 0.7, hours))
        part = pl.DataFrame({"currency": currency, "time": times, "close": closes, "volume": volume})
        parts.append(part.head(DELISTED_DAYS * 24) if place == len(CURRENCIES) - 1 else part)
    return pl.concat(parts)


def finished(klines: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The klines whose last trade lies before `now`."""
    return klines.filter(pl.col("time") + HOUR <= now)


def own_rows(klines: pl.DataFrame, now: datetime) -> Samples:
    """Rows of every indicator, lag and feature that another package brings, each currency by itself."""
    known = finished(klines, now)
    end = START + DAYS * DAY
    indicators = indicator_frame(known, INTERVAL, START, end)
    features = (*OWN_FEATURES, *FEATURES)
    return make_samples(indicators, features=features, interval=INTERVAL, start=START, end=end, derived=FEATURES)


def ranked_rows(klines: pl.DataFrame, now: datetime) -> Samples:
    """Rows of the relative features, all currencies together."""
    market = hourly_market(finished(klines, now), CURRENCIES, START, DAYS * 24)
    return relative_samples(market, start=START, end=START + DAYS * DAY)


def hourly_market(klines: pl.DataFrame, currencies: tuple[str, ...], start: datetime, hours: int) -> HourlyMarket:
    """Closes and traded value of hourly klines on the grid of so many hours from `start` on."""
    closes, traded = (np.full((len(currencies), hours), np.nan) for _ in range(2))
    for place, currency in enumerate(currencies):
        own = klines.filter(pl.col("currency") == currency)
        slots = (own["time"] - start).dt.total_hours().to_numpy()
        closes[place, slots] = own["close"].to_numpy()
        traded[place, slots] = (own["close"] * own["volume"]).to_numpy()
    return HourlyMarket(currencies, start, closes, traded)


def purged_folds(samples: Samples) -> list[Fold]:
    """The folds that models are tuned on."""
    return walk_forward(samples.time, folds=FOLDS, horizon=HORIZON)


def fit_ridge(samples: Samples, train: np.ndarray, params: Params | None = None) -> Predict:
    """A ridge of the training rows, scaler inside."""
    algorithm = ALGORITHMS["ridge"]
    rows = TrainingRows.of(samples, samples.y).take(train)
    chosen = params or defaults(search_space(algorithm, samples.features))
    return fit_prepared(algorithm, rows, params=chosen, seed=0).predict


def tuned_before(samples: Samples, cutoff: datetime) -> Params:
    """Parameters tuned on the rows whose label was known at the cutoff."""
    return tuned_on(samples, known_by(samples, cutoff))


def tuned_on(samples: Samples, rows: np.ndarray) -> Params:
    """Parameters tuned on these rows."""
    known = samples.take(rows)
    folds = [(fold.train, fold.test) for fold in purged_folds(known)]
    return tune(ALGORITHMS["ridge"], TrainingRows.of(known, known.y), folds, trials=TRIALS, seed=0).best_params


def known_by(samples: Samples, moment: datetime) -> np.ndarray:
    """Which rows have a label that ends at or before an instant."""
    known: np.ndarray = np.isfinite(samples.y) & (samples.time + np.timedelta64(HOUR + HORIZON) <= naive(moment))
    return known


def traded_then(klines: pl.DataFrame, moment: datetime) -> tuple[str, ...]:
    """Currencies with a kline in the day before an instant."""
    recent = klines.filter(pl.col("time").is_between(moment - DAY, moment, closed="left"))
    return tuple(sorted(recent["currency"].unique()))


def naive(moment: datetime) -> np.datetime64:
    """An instant as rows hold it."""
    return np.datetime64(moment.replace(tzinfo=None), "us")


OWN = Pipeline(rows=own_rows, folds=purged_folds, fit=fit_ridge, choose=tuned_before, universe=traded_then)
RANKED = Pipeline(rows=ranked_rows, folds=purged_folds, fit=fit_ridge, choose=tuned_before, universe=traded_then)

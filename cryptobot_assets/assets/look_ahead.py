"""Rows of a training set computed a second time, of nothing but the klines that were finished at their instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.features import lookback
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY, interval_delta
from cryptobot_assets.domain.relative import is_relative
from cryptobot_assets.domain.samples import Samples, make_samples
from cryptobot_assets.plugged import FEATURES
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import KLINES, Store

CURRENCIES = 2
"""How many currencies' newest rows are computed again."""


def find_later_knowledge(store: Store, interval: str, universe: Sequence[str], samples: Samples) -> pl.DataFrame:
    """Newest rows of a training set that klines finished by then do not give: currency, time, what.

    Args:
        universe: the currencies that relative features rank against each other.
        samples: of that universe, as they were read from this store.
    """
    wrong = []
    for currency in _chosen(samples):
        last = np.flatnonzero(samples.currency == currency)[-1]
        time = samples.time[last].astype(datetime).replace(tzinfo=UTC)
        known_at = time + interval_delta(interval)
        if is_relative(samples.features):
            reader = SampleReader(store, interval, universe)
            again = reader.read(samples.features, (currency,), time, known_at, known_until=known_at)
        else:
            again = _own_row(store, interval, currency, samples.features, time, known_at)
        what = _difference(samples, last, again)
        if what:
            wrong.append((currency, time, what))
    schema = {"currency": pl.String(), "time": pl.Datetime("us", "UTC"), "what": pl.String()}
    return pl.DataFrame(wrong, schema=schema, orient="row")


def _chosen(samples: Samples) -> list[str]:
    """Those with the newest rows, of different currencies."""
    newest = samples.currency[-5 * CURRENCIES :][::-1]
    return list(dict.fromkeys(newest.tolist()))[:CURRENCIES]


def _own_row(
    store: Store, interval: str, currency: str, features: tuple[str, ...], time: datetime, known_at: datetime
) -> Samples:
    day = time.replace(hour=0, minute=0)
    klines = store.read(
        KLINES,
        start=day - lookback(features, FEATURES) - DAY,
        end=known_at,
        columns=["currency", "time", "close"],
        currency=currency,
    )
    earlier = klines.filter(pl.col("time") < day)
    frame = pl.concat([earlier, indicator_frame(klines, interval, day, day + DAY)], how="diagonal")
    return make_samples(frame, features=features, interval=interval, start=time, end=known_at, derived=FEATURES)


def _difference(samples: Samples, row: int, again: Samples) -> str:
    if len(again) != 1:
        return "has no row of klines finished by then"
    near = np.isclose(again.X[0], samples.X[row], rtol=1e-9, atol=1e-12)
    names = [name for name, same in zip(samples.features, near, strict=True) if not same]
    return f"not so: {', '.join(names[:4])}{' and more' if len(names) > 4 else ''}" if names else ""

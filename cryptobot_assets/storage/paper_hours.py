"""What the paper bot knows at each hour, read from a store; and how far the store has come.

The same rows are read for an hour that has just passed and for a year of them: a figure reads a
span of fixed length, so that where a read begins changes no bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from cryptobot_assets.domain.intervals import DAY, HOUR, floor_hour, interval_delta
from cryptobot_assets.domain.metrics import at_whole_hours
from cryptobot_assets.domain.paper_book import Hour
from cryptobot_assets.domain.portfolio import VOLATILITY_HOURS
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.storage.samples import SampleReader, read_hourly_market
from cryptobot_assets.storage.store import INDICATORS, KLINES, Store

SILENT = DAY
"""A currency without a kline for so long is not waited for."""

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Model:
    """The version in force: what the ledger calls it, its features, and its predictions of rows (n, k)."""

    algorithm: str
    version: str
    features: tuple[str, ...]
    predict: Predict


def ready_until(store: Store, universe: Collection[str], interval: str) -> datetime | None:
    """The newest hour that can be booked: every currency's next kline is stored, and indicators up to the hour.

    A currency whose klines end is waited for until the market is `SILENT` past them. None where
    nothing is stored.
    """
    step = interval_delta(interval)
    klines = {name: newest for name, (_, newest) in store.spans(KLINES).items() if name in universe}
    known = {name: newest + step for name, (_, newest) in store.spans(INDICATORS).items() if name in universe}
    if not klines:
        return None
    market = max(klines.values())
    waited_for = {name: newest for name, newest in klines.items() if market - newest < SILENT}
    nothing = datetime.min.replace(tzinfo=UTC)
    return floor_hour(min(min(newest, known.get(name, nothing)) for name, newest in waited_for.items()))


class HourReader:
    """Reads the hours of one universe from one store as it is.

    Args:
        universe: what is ranked, and what relative features are ranked among.
        patience: how long after the hour an open may come.
    """

    def __init__(self, store: Store, interval: str, universe: Sequence[str], patience: timedelta) -> None:
        self._store = store
        self._interval = interval
        self._step = interval_delta(interval)
        self._universe = tuple(sorted(universe))
        self._patience = patience
        self._samples = SampleReader(store, interval, self._universe)

    def hours(self, models: Mapping[datetime, Model | None], held: Collection[str]) -> Iterator[Hour]:
        """Consecutive hours, those at which a version is in force, in order.

        Args:
            models: by hour, the version in force.
            held: what is held at the first of them, of the universe or not: it is priced, however long
                ago its last close was.
        """
        start, end = min(models), max(models) + HOUR
        names = tuple(sorted({*self._universe, *held}))
        back = VOLATILITY_HOURS + 1
        market = read_hourly_market(self._store, self._interval, names, start - back * HOUR, end - HOUR)
        closes, traded = market.closes.T, np.nan_to_num(market.traded.T)
        marks = _last_known(closes, self._closes_before(start - back * HOUR, names, closes[:back], held))
        opens = self._opens(names, start, end)
        scored = {model: self._rows(model.features, start, end) for model in {one for one in models.values() if one}}
        for place, (time, model) in enumerate(models.items()):
            if model is None:
                continue
            known = place + back
            found = [opens.get((name, time)) for name in names]
            yield Hour(
                time=time,
                algorithm=model.algorithm,
                version=model.version,
                currencies=names,
                score=self._score(model, names, scored[model], time),
                closes=np.ascontiguousarray(closes[known - back : known]),
                marks=marks[known - 1],
                traded=np.ascontiguousarray(traded[known - 24 : known]).sum(axis=0),
                opens=np.array([np.nan if one is None else one[1] for one in found]),
                opened=tuple(None if one is None else one[0] for one in found),
            )

    def _rows(self, features: tuple[str, ...], start: datetime, end: datetime) -> Samples:
        """Complete rows known at the hours of [start, end); no later close is read."""
        first, last = start - self._step, end - self._step
        return self._samples.read(features, self._universe, first, last, known_until=last, stride_minutes=60)

    def _score(self, model: Model, names: Sequence[str], rows: Samples, time: datetime) -> np.ndarray:
        """Predictions of one hour's rows: its own batch, so that the bits do not depend on what else is read."""
        moment = np.datetime64((time - self._step).replace(tzinfo=None), "us")
        first, after = np.searchsorted(rows.time, [moment, moment + np.timedelta64(1, "us")])
        here = rows.take(slice(int(first), int(after)))
        score = np.full(len(names), np.nan)
        if len(here):
            places = np.searchsorted(names, here.currency.astype(str))
            score[places] = model.predict(here.X)
        return score

    def _opens(
        self, names: Sequence[str], start: datetime, end: datetime
    ) -> dict[tuple[str, datetime], tuple[datetime, float]]:
        """By currency and hour: time and open of the first kline from the hour on that is near enough."""
        rows = self._store.read(KLINES, start=start, end=end, columns=["currency", "time", "open"], currency=names)
        hour = pl.col("time").dt.truncate("1h").alias("hour")
        near = rows.with_columns(hour).filter(pl.col("time") - pl.col("hour") < self._patience)
        first = near.sort("currency", "time").group_by("currency", "hour", maintain_order=True).first()
        return {(name, at): (time, price) for name, at, time, price in first.iter_rows()}

    def _closes_before(
        self, moment: datetime, names: Sequence[str], closes: np.ndarray, held: Collection[str]
    ) -> np.ndarray:
        """(n,) last close at a whole hour known by `moment`, looked up for what is held and was silent since."""
        found = np.full(len(names), np.nan)
        for place, name in enumerate(names):
            if name in held and not np.isfinite(closes[:, place]).any():
                rows = self._store.read(KLINES, end=moment, columns=["currency", "time", "close"], currency=name)
                whole = at_whole_hours(rows, self._interval)
                found[place] = whole["close"][-1] if whole.height else np.nan
        return found


def _last_known(closes: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Each close, or the last before it, (hours, n)."""
    known = np.vstack([before, closes])
    rows = np.where(np.isfinite(known), np.arange(len(known))[:, None], 0)
    return np.take_along_axis(known, np.maximum.accumulate(rows, axis=0), axis=0)[1:]

"""Rows for training and scoring, read from a store: whichever features a model wants.

Stored indicators and lags are of one currency alone; relative features need every currency of the
universe at once. Training, scoring and serving read through here, so that a row is the same for
all three.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.features import lookback
from cryptobot_assets.domain.grid import microseconds
from cryptobot_assets.domain.intervals import DAY, HOUR, floor_hour, interval_delta
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.relative import LONGEST_HOURS, HourlyMarket, is_relative, relative_samples
from cryptobot_assets.domain.samples import Samples, join_samples, label_end, make_samples
from cryptobot_assets.plugged import FEATURES
from cryptobot_assets.storage.store import INDICATORS, KLINES, Store, Table

HOUR_MICROSECONDS = 3_600_000_000
HELD_ROWS = 4_000_000
"""Stored rows held at a time, of as many currencies as fit, one at least: what a reading costs in memory is bounded,
whatever the universe."""

HELD_BLOCKS = 8
"""Blocks of relative rows kept: scoring asks for the same block once a currency."""


def source_table(features: tuple[str, ...]) -> Table:
    """The table these features are read from."""
    return KLINES if is_relative(features) else INDICATORS


class SampleReader:
    """Reads rows of one universe from one store as it is; not for several threads at once.

    Relative rows are held, so make a new reader when the store has changed.

    Args:
        universe: the currencies that relative features rank against each other.
        outcomes_until: labels that end after it are NaN, as if not known yet; None hides none.
    """

    def __init__(
        self, store: Store, interval: str, universe: Sequence[str], *, outcomes_until: datetime | None = None
    ) -> None:
        self._outcomes_until = outcomes_until
        self._store = store
        self._interval = interval
        self._universe = tuple(universe)
        self._held: dict[tuple[datetime, datetime, datetime], Samples] = {}

    def read(
        self,
        features: tuple[str, ...],
        currencies: Sequence[str],
        start: datetime,
        end: datetime,
        *,
        known_until: datetime | None = None,
        stride_minutes: int | None = None,
    ) -> Samples:
        """Complete rows with time in [start, end), sorted by time and currency.

        Args:
            known_until: no close from then on is read, so that labels reaching it are NaN; the
                default reads as far as the labels of the range.
            stride_minutes: see `make_samples`; relative rows are whole hours whatever it says.
        """
        rows = self._read(features, currencies, start, end, known_until, stride_minutes)
        if self._outcomes_until is None:
            return rows
        until = np.datetime64(self._outcomes_until.astimezone(UTC).replace(tzinfo=None), "us")
        return replace(rows, y=np.where(label_end(rows.time, self._interval) > until, np.nan, rows.y))

    def _read(
        self,
        features: tuple[str, ...],
        currencies: Sequence[str],
        start: datetime,
        end: datetime,
        known_until: datetime | None,
        stride_minutes: int | None,
    ) -> Samples:
        until = end + HORIZON + HOUR if known_until is None else known_until
        if is_relative(features):
            rows = self._relative(start, end, until)
            chosen = np.isin(rows.currency.astype(str), list(currencies))
            return rows if chosen.all() else rows.take(chosen)
        first = start - lookback(features, FEATURES) - DAY
        a_currency = max((until - first) // interval_delta(self._interval), 1)
        together = max(HELD_ROWS // a_currency, 1)
        blocks = [currencies[at : at + together] for at in range(0, len(currencies), together)]
        parts = [self._of_currencies(features, block, first, start, end, until, stride_minutes) for block in blocks]
        return parts[0] if len(parts) == 1 else join_samples(parts, features)

    def _of_currencies(
        self,
        features: tuple[str, ...],
        currencies: Sequence[str],
        first: datetime,
        start: datetime,
        end: datetime,
        until: datetime,
        stride_minutes: int | None,
    ) -> Samples:
        stored = [name for name in features if name in INDICATORS.schema]
        frame = self._store.read(
            INDICATORS,
            start=first,
            end=until,
            columns=list(dict.fromkeys(["currency", "time", "close", *stored])),
            currency=list(currencies),
        )
        return make_samples(
            frame,
            features=features,
            interval=self._interval,
            start=start,
            end=end,
            stride_minutes=stride_minutes,
            derived=FEATURES,
            threads=os.cpu_count() or 1,
        )

    def _relative(self, start: datetime, end: datetime, until: datetime) -> Samples:
        key = (start, end, until)
        if key not in self._held:
            while len(self._held) >= HELD_BLOCKS:
                self._held.pop(next(iter(self._held)))
            first = start - (LONGEST_HOURS + 2) * HOUR
            market = read_hourly_market(self._store, self._interval, self._universe, first, until)
            self._held[key] = relative_samples(market, start=start, end=end)
        return self._held[key]


def read_hourly_market(
    store: Store, interval: str, currencies: Sequence[str], start: datetime, end: datetime
) -> HourlyMarket:
    """Closes at whole hours and the value traded in each hour, of the klines with time in [start, end).

    `start` is taken down to its whole hour. One currency is read at a time, and sums add in order
    of time: the same klines give the same bits.
    """
    step = interval_delta(interval)
    origin = floor_hour(start)
    hours = max(-(-(end - origin) // HOUR), 0)
    closes = np.full((len(currencies), hours), np.nan)
    traded = np.full((len(currencies), hours), np.nan)
    last_of_hour = HOUR_MICROSECONDS - round(step.total_seconds() * 1_000_000)
    for place, currency in enumerate(currencies):
        rows = store.read(
            KLINES,
            start=origin,
            end=end,
            columns=["time", "close", "volume", "quote_volume"],
            currency=currency,
        )
        since = microseconds(rows["time"]) - round(origin.timestamp()) * 1_000_000
        hour, within = np.divmod(since, HOUR_MICROSECONDS)
        decides = within == last_of_hour
        closes[place, hour[decides]] = rows["close"].to_numpy()[decides]
        values = rows.select(pl.col("quote_volume").fill_null(pl.col("close") * pl.col("volume"))).to_series()
        known = np.bincount(hour, minlength=hours) > 0
        sums = np.bincount(hour, weights=values.to_numpy(), minlength=hours)
        traded[place] = np.where(known, sums, np.nan)
    return HourlyMarket(tuple(currencies), origin.astimezone(UTC) + HOUR - step, closes, traded)

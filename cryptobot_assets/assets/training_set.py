"""The rows a model may learn from as of its cutoff: read once, shared by every algorithm."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cryptobot_assets.assets.look_ahead import find_later_knowledge
from cryptobot_assets.domain.features import lookback
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.relative import LONGEST_HOURS, is_relative, less_the_market
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.models.preparation import TrainingRows
from cryptobot_assets.plugged import FEATURES
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.samples import SampleReader, source_table
from cryptobot_assets.storage.store import Store

FEWEST_ROWS = 100


@dataclass(frozen=True)
class TrainingSet:
    """Complete rows whose label was known at the cutoff.

    Attributes:
        samples: sorted by time; every label finite and known at or before the cutoff.
        target: what a model learns of each row: its label, or its label less the market's.
        dropped: rows in the range that lack a feature.
        store_version: table and version read; the same version gives the same rows again.
        digest: SHA-256 of features and labels.
        currencies: whose rows were asked for.
    """

    samples: Samples
    target: np.ndarray
    dropped: int
    store_version: str
    digest: str
    currencies: tuple[str, ...]

    @property
    def rows(self) -> TrainingRows:
        """The rows as they are fitted on."""
        return TrainingRows.of(self.samples, self.target)


class TrainingSets:
    """Reads training sets and keeps the last one."""

    def __init__(self, settings: Settings, features: Sequence[str]) -> None:
        self._settings = settings
        self._features = tuple(features)
        self._kept: tuple[tuple[str, datetime, str, tuple[str, ...]], TrainingSet] | None = None
        self._looked: tuple[str, pl.DataFrame] | None = None

    def read(self, store: Store, currencies: Sequence[str], market: str, cutoff: datetime) -> TrainingSet:
        """The training set of a market as of a cutoff.

        Raises:
            NotEnoughHistory: fewer than `FEWEST_ROWS` complete rows are known by then.
        """
        version = store.version(source_table(self._features))
        key = (market, cutoff, version, tuple(currencies))
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, self._read(store, currencies, cutoff, version))
        made = self._kept[1]
        if len(made.samples) < FEWEST_ROWS:
            raise NotEnoughHistory(
                f"market {market} has {len(made.samples)} complete rows with known labels before {cutoff:%Y-%m-%d} "
                f"({made.dropped} lack a feature): ingest at least {self._days_needed} days before it"
            )
        return made

    def look_ahead(self, store: Store, currencies: Sequence[str], made: TrainingSet) -> pl.DataFrame:
        """Its newest rows that klines finished by then do not give, see `find_later_knowledge`; looked for once."""
        if self._looked is None or self._looked[0] != made.digest:
            found = find_later_knowledge(store, self._settings.interval, currencies, made.samples)
            self._looked = (made.digest, found)
        return self._looked[1]

    @property
    def _days_needed(self) -> int:
        hours = LONGEST_HOURS if is_relative(self._features) else lookback(self._features, FEATURES) // HOUR
        return hours // 24 + 7

    def _read(self, store: Store, currencies: Sequence[str], cutoff: datetime, version: str) -> TrainingSet:
        settings = self._settings
        reader = SampleReader(store, settings.interval, currencies)
        samples = reader.read(
            self._features,
            currencies,
            cutoff - timedelta(days=settings.train_days),
            cutoff,
            known_until=min(cutoff, settings.holdout_start or cutoff),
            stride_minutes=settings.train_stride_minutes,
        )
        samples = samples.take(np.isfinite(samples.y))
        target = less_the_market(samples) if is_relative(self._features) else samples.y
        read = f"{source_table(self._features).name}@{version}"
        return TrainingSet(samples, target, samples.dropped, read, _digest(samples), tuple(currencies))


def _digest(samples: Samples) -> str:
    digest = hashlib.sha256("\n".join(samples.features).encode())
    for part in (samples.time.view("int64"), samples.X, samples.y):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def evenly(rows: int, most: int) -> np.ndarray:
    """Positions of at most `most` of so many rows, spread evenly over time and currencies.

    They are drawn with a fixed seed: a fixed step would fall in with the rows' order and keep one
    currency, or one hour of the day, for months on end.
    """
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))

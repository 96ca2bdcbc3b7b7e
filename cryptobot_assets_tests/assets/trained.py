"""A home with klines of one market, whose models are trained by the assets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import polars as pl

from cryptobot_assets.assets.training import training_assets
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.models.loading import Scorer, load_scorer
from cryptobot_assets.partitions import Partitions, model_key
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.store import INDICATORS, KLINES

DAYS = 62


@dataclass(frozen=True)
class Trained:
    """The home and its registry."""

    home: Path
    market: str
    registry: Registry

    @classmethod
    def of(cls, home: Path, market: str, registry: Registry, *, turn: datetime | None = None) -> Trained:
        """Klines of 62 days that are the same whatever the market; from `turn` on, prices are three times as high."""
        klines = make_klines(DAYS * 24, currency=market, seed=1)
        if turn is not None:
            prices = pl.col("open", "high", "low", "close")
            klines = klines.with_columns(pl.when(pl.col("time") >= turn).then(prices * 3).otherwise(prices))
        trained = cls(home, market, registry)
        indicators = indicator_frame(klines, "1h", START, START + DAYS * DAY)
        trained.store.replace(KLINES, klines, start=None, end=None)
        trained.store.replace(INDICATORS, indicators, start=None, end=None)
        return trained

    @property
    def store(self) -> Lake:
        return Lake(str(self.home / "lake"))

    def settings(self, **settings: object) -> Settings:
        small = {"trials": 2, "folds": 2, "max_training_rows": 1_000, "max_tuning_rows": 1_000, "second_look_rows": 0}
        return Settings.load(
            home=self.home, interval="1h", currencies=self.market, start_day=START.date(), **small | settings
        )

    def train(self, cutoff: datetime, *algorithms: str, **settings: object) -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            return dg.materialize(
                training_assets(Partitions(self.settings(**settings))),
                selection=[f"{name}_model" for name in algorithms],
                partition_key=model_key(self.market, cutoff),
                resources={"store": self.store, "registry": self.registry, "progress": Silent()},
                instance=instance,
            )

    def version(self, algorithm: str, number: int = 1) -> RegisteredVersion:
        return self.registry.version(f"cryptobot-{self.market}-{algorithm}", str(number))

    def tags(self, algorithm: str, number: int = 1) -> dict[str, str]:
        return self.registry.run_tags(self.version(algorithm, number))

    def scorer(self, algorithm: str, number: int = 1) -> Scorer:
        folder = self.home / "models" / f"{algorithm}-{number}"
        return load_scorer(self.registry.download(self.version(algorithm, number), folder))

"""Drift of the champion's features: its training rows against the chosen days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptobot_assets.dashboard.queries import Span
from cryptobot_assets.domain.drift import Drift, feature_drifts
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import CURRENCIES, RegisteredVersion
from cryptobot_assets.storage.registry_runs import read_run
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import Store

MOST_DAYS = 120
"""Newest days of the training rows that are read."""
STRIDE_MINUTES = 60


@dataclass(frozen=True)
class Trained:
    """What a version was trained on.

    Attributes:
        start, end: times of the first and last training row.
    """

    algorithm: str
    version: str
    cutoff: datetime
    features: tuple[str, ...]
    currencies: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Drifts:
    """Drift of every feature, and what was compared."""

    features: Sequence[Drift]
    trained: Span
    trained_rows: int
    recent_rows: int


def champion_training(registry: Registry, market: str) -> Trained | None:
    """What the champion of a market was trained on; None where there is no champion."""
    champion: RegisteredVersion | None = registry.champion(market)
    if champion is None:
        return None
    run = read_run(registry, champion)
    return Trained(
        algorithm=champion.algorithm,
        version=champion.source_version,
        cutoff=champion.cutoff,
        features=tuple(run.params["features"].split(",")),
        currencies=tuple(run.tags[CURRENCIES].split(",")),
        start=datetime.fromisoformat(run.params["start_time"]),
        end=datetime.fromisoformat(run.params["end_time"]),
    )


def drifts(store: Store, settings: Settings, trained: Trained, span: Span) -> Drifts:
    """Hourly rows of the training, the newest `MOST_DAYS` of it, against those of the span after it."""
    reader = SampleReader(store, settings.interval, trained.currencies)
    start = max(trained.start, trained.end - MOST_DAYS * DAY)
    old = reader.read(
        trained.features, trained.currencies, start, trained.end, known_until=trained.end, stride_minutes=STRIDE_MINUTES
    )
    first = max(span.start, trained.cutoff)
    new = reader.read(
        trained.features, trained.currencies, first, span.end, known_until=span.end, stride_minutes=STRIDE_MINUTES
    )
    found = feature_drifts(trained.features, old.X, old.time, new.X, new.time)
    return Drifts(found, Span(start, trained.end), len(old), len(new))

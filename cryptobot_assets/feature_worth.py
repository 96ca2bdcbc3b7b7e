"""What the features of registered versions add on rows after their cutoff, read from what is stored."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from cryptobot_assets.domain.feature_worth import GroupWorth, feature_groups, group_worths
from cryptobot_assets.domain.intervals import HOUR, interval_delta, rows_per_hour
from cryptobot_assets.domain.relative import is_relative, less_the_market
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.leaderboard import Evidence
from cryptobot_assets.models.loading import load_scorer
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import pooled_currencies
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import Store

MOST_DAYS = 60
MOST_ROWS = 20_000
ROWS_AT_ONCE = 2_000_000
"""Stored rows read at once; more currencies are read in turns."""

Rows = tuple[Samples, np.ndarray]
"""Rows whose outcome is known, and what a model predicts of them."""


def read_worths(
    store: Store, registry: Registry, settings: Settings, evidence: Evidence
) -> dict[str, list[GroupWorth]]:
    """By algorithm, the worth of its newest version's groups of features over the newest days it scored.

    At most `MOST_DAYS` days and `MOST_ROWS` whole-hour rows are used. Algorithms whose newest scoring
    version is gone from the registry are absent.
    """
    versions = {(one.algorithm, one.version): one for one in registry.versions(evidence.market)}
    held: dict[tuple[tuple[str, ...], datetime, datetime], Rows] = {}
    made = {}
    for one in evidence.evaluations:
        version = versions.get((one.algorithm, one.version))
        if version is None:
            continue
        folder = settings.home / "model-cache" / version.name / version.version
        scorer = load_scorer(registry.download(version, folder))
        end = one.end + interval_delta(settings.interval)
        start = max(version.cutoff, end - timedelta(days=MOST_DAYS))
        key = (scorer.features, start, end)
        if key not in held:
            names = tuple(evidence.predictions[one.algorithm]["currency"].unique().sort())
            held[key] = _rows(store, settings, names, *key)
        samples, target = held[key]
        if len(target):
            groups = feature_groups(scorer.features)
            made[one.algorithm] = group_worths(
                scorer.predict, samples.X, target, samples.time, groups, seed=settings.seed, draws=settings.draws
            )
    return made


def _rows(
    store: Store,
    settings: Settings,
    currencies: tuple[str, ...],
    features: tuple[str, ...],
    start: datetime,
    end: datetime,
) -> Rows:
    """Whole-hour rows of [start, end) whose outcome is known, thinned evenly."""
    universe = pooled_currencies(settings, store)
    reader = SampleReader(store, settings.interval, universe, outcomes_until=settings.holdout_start)
    relative = is_relative(features)
    hours = (end - start) / HOUR + MOST_DAYS * 24
    step = len(currencies) if relative else max(int(ROWS_AT_ONCE / (hours * rows_per_hour(settings.interval))), 1)
    parts: list[Samples] = []
    targets: list[np.ndarray] = []
    for first in range(0, len(currencies), step):
        read = reader.read(features, currencies[first : first + step], start, end, stride_minutes=60)
        read = read.take(np.isfinite(read.y))
        most = MOST_ROWS * min(step, len(currencies) - first) // len(currencies)
        kept = _thinned(len(read), most)
        targets.append((less_the_market(read) if relative else read.y)[kept])
        parts.append(read.take(kept))
    return _joined(parts), np.concatenate(targets)


def _thinned(rows: int, most: int) -> np.ndarray:
    """Positions of at most `most` rows, drawn with a fixed seed."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def _joined(parts: list[Samples]) -> Samples:
    return Samples(
        parts[0].features,
        np.concatenate([part.currency for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.X for part in parts]),
        np.concatenate([part.y for part in parts]),
        sum(part.dropped for part in parts),
    )

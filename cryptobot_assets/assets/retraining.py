"""A registered version, trained again from what its tags tell, and compared with itself.

    tags: store version, currencies, settings, beginning, digest --> rows of then --> train --> the same predictions

The store is read at the version the tags name, so what was appended or mended since changes nothing.
A store without old versions is read as it is, and the digest tells whether the rows are still those.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryptobot_assets.assets.fitting import train
from cryptobot_assets.assets.training_record import describe, git_commit
from cryptobot_assets.assets.training_set import TrainingSet, TrainingSets
from cryptobot_assets.checks.training import TrainingChecks
from cryptobot_assets.errors import NoModel, StoreError
from cryptobot_assets.models.algorithms import features_of
from cryptobot_assets.models.base import FittedModel, TrialRecord
from cryptobot_assets.models.card import ModelCard, write_model
from cryptobot_assets.models.loading import load_scorer
from cryptobot_assets.models.starting_point import NOWHERE, StartingPoint
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import (
    CURRENCIES,
    DIGEST,
    STARTING_POINT,
    STORE_VERSION,
    TRAINING_SETTINGS,
    RegisteredVersion,
    Training,
)
from cryptobot_assets.storage.samples import source_table
from cryptobot_assets.storage.store import Store


@dataclass(frozen=True)
class Retrained:
    """What came of training a version again.

    Attributes:
        version: the registered one.
        training_set: the rows both learned from.
        differing: rows of them for which the two predict other bits.
        largest: largest difference of two predictions.
        commits: code that trained it then, and code that did now.
    """

    version: RegisteredVersion
    training_set: TrainingSet
    differing: int
    largest: float
    commits: tuple[str, str]


def retrain(
    version: RegisteredVersion, store: Store, registry: Registry, settings: Settings, progress: Progress
) -> Retrained:
    """Train a version again and compare every prediction; nothing is registered.

    Args:
        settings: where things are; what decides the outcome comes from the version's tags.

    Raises:
        NoModel: the version does not tell what it was trained on.
        StoreError: its rows cannot be read any more.
        LeakFound: its fits are handed what they should not know.
    """
    tags = registry.run_tags(version)
    missing = [name for name in (STORE_VERSION, DIGEST, CURRENCIES, TRAINING_SETTINGS) if name not in tags]
    if missing:
        raise NoModel(f"{version.uri} does not tell its {', '.join(missing)}: train it again to have it reproducible")
    then = settings.but({"second_look_rows": 0, **json.loads(tags[TRAINING_SETTINGS])})
    rows = _rows_of_then(version, tags, store, then)
    start = StartingPoint.from_json(json.loads(tags[STARTING_POINT])) if STARTING_POINT in tags else NOWHERE
    training = describe(version.algorithm, version.market, version.cutoff, rows, then, tags={}, start=start)
    with tempfile.TemporaryDirectory(prefix="cryptobot-retrain-") as folder:
        rehearsal = Rehearsal(version, Path(folder, "again"))
        checks = TrainingChecks(rows.samples, then.interval, version.cutoff)
        train(training, rows, then, rehearsal, progress, checks)
        again = load_scorer(rehearsal.folder).predict(rows.samples.X)
        registered = load_scorer(registry.download(version, Path(folder, "registered"))).predict(rows.samples.X)
    return Retrained(
        version=version,
        training_set=rows,
        differing=int((again.view("int64") != registered.view("int64")).sum()),
        largest=float(np.abs(again - registered).max()),
        commits=(tags.get("git_commit", "unknown"), git_commit(settings)),
    )


def _rows_of_then(version: RegisteredVersion, tags: Mapping[str, str], store: Store, settings: Settings) -> TrainingSet:
    features = features_of(version.algorithm)
    number = tags[STORE_VERSION].rpartition("@")[2]
    past = store.as_of(source_table(features), number)
    currencies = tags[CURRENCIES].split(",")
    rows = TrainingSets(settings, features).read(past, currencies, version.market, version.cutoff)
    if rows.digest != tags[DIGEST]:
        raise StoreError(
            f"the rows that {version.uri} was trained on ({tags[STORE_VERSION]}) are not those the store gives now: "
            "restore a backup of that time, or run the code that trained it"
        )
    return rows


class Rehearsal:
    """Stands where the registry does while a version is trained again: keeps the model, registers nothing."""

    def __init__(self, version: RegisteredVersion, folder: Path) -> None:
        self.folder = folder
        self._version = version

    @contextmanager
    def training_run(self, training: Training) -> Iterator[Rehearsal]:
        """See `Registry.training_run`."""
        yield self

    def log_trial(self, trial: TrialRecord) -> None:
        """See `TrainingRun.log_trial`."""

    def finish(self, model: FittedModel, card: ModelCard, **_figures: Any) -> RegisteredVersion:
        """See `TrainingRun.finish`."""
        write_model(model, card, self.folder)
        return self._version

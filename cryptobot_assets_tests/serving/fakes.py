"""Stand-ins for the registry, the models and the store, and factories of what they hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from cryptobot_assets.errors import NoModel, RegistryError, UnknownCurrency
from cryptobot_assets.models.card import ModelCard
from cryptobot_assets.models.loading import Scorer
from cryptobot_assets.serving.features import CrossSection, FeatureRow
from cryptobot_assets.serving.lineup import Appointment, Lineup, ModelVersion
from cryptobot_assets.serving.replies import bad_request
from cryptobot_assets.serving.shelf import LoadedModel, ServedModel

FEATURES = ("close_minmax_scale", "ma7_25h_scale", "close_lag_1h")
CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
NEWEST = datetime(2024, 5, 13, 23, tzinfo=UTC)
NOW = NEWEST + timedelta(hours=2)


def make_version(algorithm: str = "ridge", version: str = "7", *, market: str = "ALL", **other: Any) -> ModelVersion:
    """A trained version."""
    facts = {"cutoff": CUTOFF, "run_id": f"run-{algorithm}-{version}"} | other
    return ModelVersion(f"cryptobot-{market}-{algorithm}", version, algorithm, market, **facts)


def make_card(version: ModelVersion, *, features: tuple[str, ...] = FEATURES) -> ModelCard:
    """The card of a version."""
    return ModelCard(
        algorithm=version.algorithm,
        market=version.market,
        cutoff=version.cutoff,
        interval="1h",
        features=features,
        horizon_hours=24,
        prediction="a return",
        residual_quantiles={"0.05": -0.04, "0.95": 0.05},
        warmup_rows=((0.0,) * len(features),),
        warmup_predictions=(0.0,),
    )


def make_served(version: ModelVersion | None = None, *, verdict: str = "passed") -> ServedModel:
    """A model that predicts the sum of a row's features, divided by 100."""
    version = version or make_version()
    scorer = Scorer(make_card(version), lambda rows: rows.sum(axis=1) / 100)
    block = {"name": version.name, "version": version.version, "algorithm": version.algorithm, "verdict": verdict}
    return ServedModel(LoadedModel(version, scorer, NOW), block)


class FakeShelf:
    """A `ModelShelf` holding what it is given."""

    def __init__(
        self, champion: ServedModel | None = None, challenger: ServedModel | None = None, **algorithms: ServedModel
    ) -> None:
        self.served = champion
        self.rival = challenger
        self.complaint: str | None = None
        self.algorithms = algorithms

    def champion(self) -> ServedModel:
        if self.served is None:
            raise NoModel("no champion is loaded")
        return self.served

    def challenger(self) -> ServedModel | None:
        return self.rival

    def held(self, algorithm: str) -> ServedModel | None:
        return None

    def fetch(self, algorithm: str) -> ServedModel:
        if algorithm not in self.algorithms:
            raise NoModel(f"no {algorithm} model is loaded")
        return self.algorithms[algorithm]

    def fault(self) -> str | None:
        return self.complaint

    def listing(self) -> dict[str, Any]:
        return {"models": []}


@dataclass
class FakeFeatures:
    """A `FeatureSource` of one hourly row a currency; `failure` is raised instead when set."""

    rows: dict[str, Sequence[float]] = field(
        default_factory=lambda: {"BTCUSDT": (0.5, 0.1, 0.4), "ETHUSDT": (0.9, 0.8, 0.7), "XRPUSDT": (-1.0, -0.5, 0.0)}
    )
    failure: Exception | None = None

    def ready(self, currency: str, features: tuple[str, ...]) -> bool:
        return currency == "BTCUSDT" and self.failure is None

    def latest(self, currency: str, features: tuple[str, ...], time: datetime | None = None) -> FeatureRow:
        if self.failure is not None:
            raise self.failure
        if currency not in self.rows:
            raise UnknownCurrency(currency, self.rows)
        if time not in (None, NEWEST):
            raise bad_request("no_such_row", "no such row; stored: ...", field="time")
        return FeatureRow(currency, NEWEST, NEWEST + timedelta(hours=1), np.array(self.rows[currency]))

    def cross_section(self, features: tuple[str, ...], currencies: Sequence[str] | None = None) -> CrossSection:
        names = tuple(sorted(self.rows)) if currencies is None else tuple(currencies)
        X = np.stack([self.latest(name, features).x for name in names])
        return CrossSection(NEWEST, NEWEST + timedelta(hours=1), names, X)


class FakeModels:
    """A `ModelSource` whose line-up is set by hand and which counts what it hands out."""

    def __init__(self) -> None:
        self.now = Lineup()
        self.down = False
        self.downloads: list[str] = []
        self.damaged: set[str] = set()
        self.lost: set[str] = set()

    def appoint(self, version: ModelVersion, *, registered_version: str = "1", verdict: str = "passed") -> None:
        """Make a version the champion, and its algorithm's newest."""
        champion = Appointment("champion", f"cryptobot-{version.market}", registered_version, version, verdict)
        self.now = Lineup({"champion": champion}, {**self.now.newest, version.algorithm: version})

    def add(self, version: ModelVersion) -> None:
        """Make a version its algorithm's newest."""
        self.now = Lineup(self.now.appointments, {**self.now.newest, version.algorithm: version})

    def lineup(self) -> Lineup:
        if self.down:
            raise RegistryError("registry /secret/path does not answer")
        return self.now

    def download(self, version: ModelVersion, folder: Path) -> object:
        if self.down:
            raise RegistryError("registry /secret/path does not answer")
        if version.version in self.lost:
            raise RegistryError("the registry does not have it any more")
        self.downloads.append(f"{version.algorithm} {version.version}")
        folder.mkdir()
        good = version.version not in self.damaged
        facts = {"algorithm": version.algorithm, "version": version.version, "good": good}
        return (folder / "facts.json").write_text(json.dumps(facts))


def load_fake(folder: Path) -> Scorer:
    """The scorer of a folder that `FakeModels` wrote: predicts its version's number, divided by 1000."""
    facts = json.loads((folder / "facts.json").read_text())
    if not facts["good"]:
        raise RegistryError(f"{folder} does not repeat its warm-up predictions")
    level = int(facts["version"]) / 1000
    return Scorer(make_card(make_version(facts["algorithm"])), lambda rows: np.full(len(rows), level))

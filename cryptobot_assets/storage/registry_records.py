"""What goes into the model registry and what comes out of it, free of MLflow's own types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cryptobot_assets.models.starting_point import NOWHERE, StartingPoint

Alias = Literal["champion", "challenger"]

STORE_VERSION = "store_version"
"""Tag of a training: the table it read and that table's version, as `indicators@57`."""

TUNED = "tuned_values"
"""Tag of a run: the params that tuning chose, as JSON."""

OVERRIDE = "override"
"""Tag of a promoted version: the `Override` that made it champion, as JSON, while it holds."""

CARD_PAGE = "MODEL_CARD.md"
"""File of a run: the model card that is the version's description too."""

INTERVAL_LOW, INTERVAL_HIGH = "interval_low", "interval_high"
"""Tags of a version: what it adds to a prediction for the ends of its interval."""

CURRENCIES, TRAINING_SETTINGS, DIGEST = "currencies", "training_settings", "training_set_digest"
"""Tags of a training, by which it can be done again: currencies as a comma list, settings as JSON, SHA-256 of rows."""

STARTING_POINT = "starting_point"
"""Tag of a training whose tuning began with values of other versions: the `StartingPoint`, as JSON."""


def market_model(market: str) -> str:
    """Registered model that holds a market's promoted versions and its aliases."""
    return f"cryptobot-{market}"


def algorithm_model(market: str, algorithm: str) -> str:
    """Registered model that holds one algorithm's versions for a market."""
    return f"cryptobot-{market}-{algorithm}"


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training about to start: a market, an algorithm and a cutoff.

    Attributes:
        fingerprint: digest of everything that decides the outcome (rows, settings, seed, code); a
            version with the same one need not be trained again.
        params: logged on the run: features, start and end time, horizon, prediction definition.
        tags: logged on the run: git commit, store version, Dagster run id, asset key, partition.
        start: what its tuning tries first.
    """

    market: str
    algorithm: str
    cutoff: datetime
    fingerprint: str
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    start: StartingPoint = NOWHERE

    def identity(self) -> dict[str, str]:
        """The tags by which its run and its version are found again."""
        return {
            "market": self.market,
            "algorithm": self.algorithm,
            "cutoff": self.cutoff.isoformat(),
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True, kw_only=True)
class Override:
    """A person's decision that a version shall serve, whatever the promotion gate says.

    `time` is UTC, ISO. `gate` (`passed` or `unproven`) and `gate_reasons` are what the gate said then.
    """

    by: str
    time: str
    reason: str
    gate: str
    gate_reasons: Sequence[str]

    @property
    def told(self) -> str:
        """As a sentence."""
        return f"{self.by} made it champion on {self.time[:16].replace('T', ' ')} UTC, over the gate: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """One version of a registered model.

    `cutoff` is the last instant (UTC) its training data knows. `source_uri` is where its files
    lie; for a promoted version, the algorithm's version that it copies. `tags` are all it carries.
    """

    name: str
    version: str
    market: str
    algorithm: str
    cutoff: datetime
    run_id: str
    source_uri: str
    created: datetime
    tags: Mapping[str, str]

    @property
    def source_name(self) -> str:
        """Registered model of the algorithm's version that this is, or is a copy of."""
        return self.tags.get("source_name", self.name)

    @property
    def source_version(self) -> str:
        """Number of the algorithm's version that this is, or is a copy of."""
        return self.tags.get("source_version", self.version)

    @property
    def verdict(self) -> str | None:
        """`passed` or `unproven` once promoted."""
        return self.tags.get("verdict")

    @property
    def reasons(self) -> list[str]:
        """Why the verdict is what it is."""
        told: list[str] = json.loads(self.tags.get("reasons", "[]"))
        return told

    @property
    def promotions(self) -> list[dict[str, Any]]:
        """Every promotion of this version, oldest first: alias, time (UTC, ISO), verdict, reasons."""
        told: list[dict[str, Any]] = json.loads(self.tags.get("promotions", "[]"))
        return told

    @property
    def interval_bounds(self) -> tuple[float, float] | None:
        """What it adds to a prediction for the ends of its interval; versions made before that was kept lack it."""
        if not {INTERVAL_LOW, INTERVAL_HIGH} <= self.tags.keys():
            return None
        return float(self.tags[INTERVAL_LOW]), float(self.tags[INTERVAL_HIGH])

    @property
    def override(self) -> Override | None:
        """Why a person had it serve, while that holds."""
        held = self.tags.get(OVERRIDE)
        return Override(**json.loads(held)) if held else None

    @property
    def uri(self) -> str:
        """As MLflow's own tools name it."""
        return f"models:/{self.name}/{self.version}"

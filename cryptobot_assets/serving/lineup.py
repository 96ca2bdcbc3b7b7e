"""Which models are in force: what the registry says, in the few facts that serving needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

Alias = Literal["champion", "challenger"]
ALIASES: tuple[Alias, ...] = ("champion", "challenger")
Verdict = Literal["passed", "unproven"]


@dataclass(frozen=True)
class ModelVersion:
    """One trained model: a version of the registered model `cryptobot-<market>-<algorithm>`."""

    name: str
    version: str
    algorithm: str
    market: str
    cutoff: datetime
    run_id: str


@dataclass(frozen=True)
class Appointment:
    """An alias of `cryptobot-<market>`: the registered version it points at, and whose model that is."""

    alias: Alias
    registered_name: str
    registered_version: str
    model: ModelVersion
    verdict: Verdict


@dataclass(frozen=True)
class Lineup:
    """The aliases in force, and each algorithm's newest version (latest cutoff, then latest number)."""

    appointments: Mapping[Alias, Appointment] = field(default_factory=dict)
    newest: Mapping[str, ModelVersion] = field(default_factory=dict)


class ModelSource(Protocol):
    """Where models come from: the registry, or a fake."""

    def lineup(self) -> Lineup:
        """What is in force now; raises `RegistryError` when the registry does not answer."""
        ...

    def download(self, version: ModelVersion, folder: Path) -> object:
        """Fetch a model's files into `folder`, which does not exist yet."""
        ...

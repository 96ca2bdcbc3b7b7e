"""The loaded models as readers see them: one reference, swapped whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptobot_assets.models.card import HIGH, LOW
from cryptobot_assets.models.loading import Scorer
from cryptobot_assets.serving.lineup import Alias, Appointment, ModelVersion
from cryptobot_assets.serving.replies import iso


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory that has repeated its warm-up predictions."""

    version: ModelVersion
    scorer: Scorer
    loaded_at: datetime

    @property
    def features(self) -> tuple[str, ...]:
        """Columns it reads, in order."""
        return self.scorer.features

    def interval(self, predicted: float) -> list[float]:
        """The 90 % interval around a prediction, from the model's residuals out of sample."""
        residuals = self.scorer.card.residual_quantiles
        return [predicted + residuals[LOW], predicted + residuals[HIGH]]


@dataclass(frozen=True)
class ServedModel:
    """A loaded model together with what replies say of it (`model` in every reply)."""

    loaded: LoadedModel
    block: Mapping[str, Any]


class ModelShelf(Protocol):
    """What the service asks of a catalogue."""

    def champion(self) -> ServedModel:
        """The model in force; raises `NoModel` while none is loaded."""
        ...

    def challenger(self) -> ServedModel | None:
        """The candidate beside it, None when there is none or it is the champion itself."""
        ...

    def held(self, algorithm: str) -> ServedModel | None:
        """The algorithm's model if it is loaded."""
        ...

    def fetch(self, algorithm: str) -> ServedModel:
        """The algorithm's newest model, loaded now if need be (slow); raises `NoModel`."""
        ...

    def fault(self) -> str | None:
        """What is wrong with the registry or a version of it, None when nothing is."""
        ...

    def listing(self) -> dict[str, Any]:
        """What `/models` says."""
        ...


@dataclass(frozen=True)
class Shelf:
    """Everything readers see, swapped as one reference."""

    appointments: Mapping[Alias, Appointment] = field(default_factory=dict)
    algorithms: Mapping[str, LoadedModel] = field(default_factory=dict)
    loaded: Mapping[ModelVersion, LoadedModel] = field(default_factory=dict)
    champion: ServedModel | None = None
    challenger: ServedModel | None = None


def model_block(version: ModelVersion, shelf: Shelf) -> dict[str, Any]:
    """The `model` part of a reply: which version answers, and whether it has passed the gate."""
    champion = shelf.appointments.get("champion")
    proven = champion is not None and champion.model == version and champion.verdict == "passed"
    return {
        "name": version.name,
        "version": version.version,
        "algorithm": version.algorithm,
        "market": version.market,
        "cutoff": iso(version.cutoff),
        "verdict": "passed" if proven else "unproven",
    }


def appointed(appointment: Appointment, shelf: Shelf) -> ServedModel:
    """The model an alias names."""
    block = model_block(appointment.model, shelf) | {
        "alias": appointment.alias,
        "registered": {"name": appointment.registered_name, "version": appointment.registered_version},
    }
    return ServedModel(shelf.loaded[appointment.model], block)


def rival(champion: Appointment, shelf: Shelf) -> ServedModel | None:
    """The challenger, None where it is the champion itself."""
    challenger = shelf.appointments.get("challenger")
    return None if challenger is None or challenger.model == champion.model else appointed(challenger, shelf)


def entry(loaded: LoadedModel, shelf: Shelf) -> dict[str, Any]:
    """A loaded model in `/models`."""
    held = {alias: item for alias, item in shelf.appointments.items() if item.model == loaded.version}
    return model_block(loaded.version, shelf) | {
        "aliases": sorted(held),
        "registered": [
            {"name": item.registered_name, "version": item.registered_version, "alias": alias, "verdict": item.verdict}
            for alias, item in held.items()
        ],
        "features": list(loaded.features),
        "loaded_at": iso(loaded.loaded_at),
    }

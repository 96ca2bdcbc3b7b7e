"""`cryptobot.json`: what a saved model is, what it reads and what it must answer.

It lies beside the model file, so that a reader needs neither the registry nor the training code:
it names the model file and its digest, and holds rows whose predictions a reader can reproduce
before it trusts the model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from cryptobot_assets.errors import RegistryError
from cryptobot_assets.models.base import FittedModel, ModelFile
from cryptobot_assets.models.output import AS_IT_IS, Output

CARD_FILE = "cryptobot.json"
LOW, HIGH = "0.05", "0.95"
"""Levels of the residual quantiles that bound the interval around a prediction."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Facts about one trained model.

    Attributes:
        algorithm, market: what was trained, on what.
        cutoff: last instant its training data may know; it may score rows from there on.
        interval: of the klines behind its features.
        features: columns it reads, in order.
        horizon_hours: from the decision to the end of the label.
        prediction: what a predicted number means, in words.
        residual_quantiles: of realised minus predicted return out of sample, by level ("0.05").
        warmup_rows, warmup_predictions: feature rows and what the model said of them when trained.
        output: what is done with the model file's numbers.
    """

    algorithm: str
    market: str
    cutoff: datetime
    interval: str
    features: tuple[str, ...]
    horizon_hours: int
    prediction: str
    residual_quantiles: Mapping[str, float]
    warmup_rows: tuple[tuple[float, ...], ...]
    warmup_predictions: tuple[float, ...]
    output: Output = AS_IT_IS

    def to_json(self) -> dict[str, Any]:
        """As written to `cryptobot.json`."""
        facts = asdict(self) | {"cutoff": self.cutoff.isoformat(), "output": self.output.to_json()}
        facts["warmup"] = {"rows": facts.pop("warmup_rows"), "predictions": facts.pop("warmup_predictions")}
        return facts

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> ModelCard:
        """Of what `to_json` gave; raises KeyError, TypeError or ValueError on anything else."""
        return cls(
            algorithm=facts["algorithm"],
            market=facts["market"],
            cutoff=datetime.fromisoformat(facts["cutoff"]),
            interval=facts["interval"],
            features=tuple(facts["features"]),
            horizon_hours=int(facts["horizon_hours"]),
            prediction=facts["prediction"],
            residual_quantiles={level: float(value) for level, value in facts["residual_quantiles"].items()},
            warmup_rows=tuple(tuple(map(float, row)) for row in facts["warmup"]["rows"]),
            warmup_predictions=tuple(map(float, facts["warmup"]["predictions"])),
            output=Output.from_json(facts.get("output", {})),
        )


def write_model(model: FittedModel, card: ModelCard, folder: Path) -> ModelFile:
    """Write the model file and its card into `folder`, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    file = model.save(folder)
    facts = card.to_json() | {
        "model": {
            "flavor": file.flavor,
            "file": file.filename,
            "sha256": digest(folder / file.filename),
        }
    }
    (folder / CARD_FILE).write_text(json.dumps(facts, indent=1, allow_nan=False))
    return file


def read_card(folder: Path) -> tuple[ModelCard, ModelFile]:
    """The card of a saved model, and its model file, which is there and whole.

    Raises:
        RegistryError: a file is missing, unreadable, or not the one that was written.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        raise RegistryError(f"no {CARD_FILE} in {folder}: this is not a model the platform trained")
    try:
        facts = json.loads(path.read_text())
        card = ModelCard.from_json(facts)
        file = ModelFile(facts["model"]["flavor"], facts["model"]["file"])
        expected = facts["model"]["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RegistryError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    model_path = folder / file.filename
    if not model_path.is_file() or digest(model_path) != expected:
        raise RegistryError(f"{model_path} is missing or damaged: download or train it again")
    return card, file


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def warmup(model: FittedModel, rows: np.ndarray) -> dict[str, Any]:
    """The fields of a card that a model fills, its warm-up rows being float (rows, features)."""
    rows = np.asarray(rows, dtype=np.float64)
    return {
        "warmup_rows": tuple(map(tuple, rows.tolist())),
        "warmup_predictions": tuple(model.predict(rows).tolist()),
        "output": model.output,
    }

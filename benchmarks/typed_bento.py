"""BentoML's own way with the same model: a service with one typed method, everything else as it comes.

Served by `benchmarks/servers.py` with `bentoml serve`; `BARE_MODEL` names the model's folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import numpy as np

from cryptobot_assets.models.loading import load_scorer


@bentoml.service
class TypedModel:
    """Rows in, predictions out."""

    def __init__(self) -> None:
        self._scorer = load_scorer(Path(os.environ["BARE_MODEL"]))

    @bentoml.api
    def predict_features(self, rows: list[dict[str, float]]) -> dict[str, list[float]]:
        """Predicted returns of rows of features by name."""
        X = np.array([[row[name] for name in self._scorer.features] for row in rows])
        return {"predicted_return": self._scorer.predict(X).tolist()}

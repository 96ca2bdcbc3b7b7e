"""Loading a saved model to score rows, without the code that trained it and without unpickling."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryptobot_assets.errors import RegistryError
from cryptobot_assets.models.card import ModelCard, read_card

READERS = {"onnx": "onnx_file", "xgboost": "xgboost_trees", "catboost": "catboost_trees", "ensemble": "ensemble"}
"""Module of `cryptobot_assets.models` that reads each flavour; only the one needed is imported."""

RELATIVE_TOLERANCE = 1e-6
ABSOLUTE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Scorer:
    """A loaded model; safe to call from several threads."""

    card: ModelCard
    predictor: Callable[[np.ndarray], np.ndarray]

    @property
    def features(self) -> tuple[str, ...]:
        """Columns of the rows, in order."""
        return self.card.features

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Predicted returns, float64 (rows,), of finite numbers (rows, features).

        Raises:
            ValueError: the rows have another number of columns.
        """
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.features):
            raise ValueError(f"rows of shape {rows.shape} given to a model of {len(self.features)} features")
        if not len(rows):
            return np.empty(0)
        return self.card.output.apply(self.predictor(rows), rows, self.features)


def load_scorer(folder: Path) -> Scorer:
    """The scorer of a model folder, as `write_model` wrote it or the registry downloaded it.

    Raises:
        RegistryError: the folder holds no whole model of a known format.
    """
    folder = Path(folder)
    card, file = read_card(folder)
    if file.flavor not in READERS:
        raise RegistryError(f"{folder} holds a model of format {file.flavor!r}, which nothing here reads")
    try:
        predictor = read_model(folder / file.filename, file.flavor)
    except Exception as error:  # each library has an error tree of its own
        raise RegistryError(f"{folder / file.filename} cannot be loaded: {_first_line(error)}") from error
    return Scorer(card, predictor)


def read_model(path: Path, flavor: str) -> Callable[[np.ndarray], np.ndarray]:
    """What gives a model file's numbers (rows,) of rows (rows, features); raises whatever its library does."""
    home = importlib.import_module(f"cryptobot_assets.models.{READERS[flavor]}")
    predictor: Callable[[np.ndarray], np.ndarray] = home.read_predictor(path)
    return predictor


@dataclass(frozen=True)
class FrameScorer:
    """A scorer as MLflow's own loader hands it out."""

    scorer: Scorer

    def predict(self, rows: Any, params: Mapping[str, Any] | None = None) -> np.ndarray:
        """Predicted returns (rows,) of a pandas frame that has the features as columns."""
        return self.scorer.predict(rows[list(self.scorer.features)].to_numpy())


def _load_pyfunc(path: str) -> FrameScorer:
    """What MLflow calls with a model file's path, for models whose file alone does not give the prediction."""
    return FrameScorer(load_scorer(Path(path).parent))


def warm_up(scorer: Scorer) -> Scorer:
    """The scorer, once it has repeated the predictions that its card remembers.

    Raises:
        RegistryError: it has none to repeat, cannot, or gives others.
    """
    card = scorer.card
    label = f"{card.algorithm} of {card.market} as of {card.cutoff:%Y-%m-%d}"
    if not card.warmup_rows:
        raise RegistryError(f"model {label} has no warm-up rows to check it by: train it again")
    try:
        predictions = scorer.predict(np.array(card.warmup_rows))
    except Exception as error:  # each library has an error tree of its own
        raise RegistryError(f"model {label} fails on its warm-up rows: {_first_line(error)}") from error
    expected = np.array(card.warmup_predictions)
    if predictions.shape != expected.shape or not np.allclose(
        predictions, expected, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE
    ):
        raise RegistryError(f"model {label} does not repeat its warm-up predictions: train it again")
    return scorer


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"

"""Scikit-learn pipelines of a scaler and an estimator, saved as ONNX: the one home of skl2onnx."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from cryptobot_assets.models.base import ModelFile

ONNX_FILE = "model.onnx"


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of each feature and of the label, of the rows of a fit.

    Attributes:
        scaler: of the features.
        mean, deviation: of the label; the deviation of a constant is 0.
    """

    scaler: StandardScaler
    mean: float
    deviation: float

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> Scale:
        """The scale of rows X (rows, features) and y (rows,), each counting by its weight."""
        with np.errstate(invalid="ignore"):  # the weighted variance of a constant may fall below zero by a last bit
            scaler = StandardScaler().fit(X, sample_weight=weight)
        mean = float(np.average(y, weights=weight))
        return cls(scaler, mean, float(np.sqrt(np.average((y - mean) ** 2, weights=weight))))

    def features(self, X: np.ndarray) -> np.ndarray:
        """Features in deviations from their mean."""
        scaled: np.ndarray = self.scaler.transform(X)
        return scaled

    def label(self, y: np.ndarray) -> np.ndarray:
        """Labels in deviations from their mean."""
        return (y - self.mean) / (self.deviation or 1.0)


def save_pipeline(pipeline: Pipeline, folder: Path) -> ModelFile:
    """Write `model.onnx`, scaler included, with float64 input `features` (rows, features)."""
    model = convert_sklearn(
        pipeline,
        initial_types=[("features", DoubleTensorType([None, len(pipeline["scaler"].mean_)]))],
        final_types=[("predicted_return", DoubleTensorType([None, 1]))],
    )
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    return ModelFile("onnx", ONNX_FILE)

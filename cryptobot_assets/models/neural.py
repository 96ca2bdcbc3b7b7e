"""A small neural network, one hidden layer of a few units behind a scaler, saved as ONNX.

    train ##################|purge|last ====        pass over the rows until `last` has not gained for a while
    train ##################################        pass as often over all rows

Daily returns are nearly noise, so the network is small and its weights are held down by a penalty.
Scikit-learn's own early stopping draws its test rows at random, so that they overlap with what is
learned from; here they are the end of the training rows, and no label that is trained on reaches
into them. Of many rows a sample is learned from, so that memory and time are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from cryptobot_assets.models.base import Choice, ModelFile, Params, Range, Space, shares
from cryptobot_assets.models.boosting import BoostingRows
from cryptobot_assets.models.output import AS_IT_IS, Output
from cryptobot_assets.models.pipelines import Scale, save_pipeline

SPACE: Space = {
    "hidden": Range(3, 32, default=8, log=True),
    "penalty": Range(1e-4, 0.3, default=0.01, log=True),
    "learning_rate": Range(3e-4, 2e-2, default=3e-3, log=True),
    "passes": Range(4, 40, default=15),
    "stopping": Choice(("none", "early"), default="early"),
}
"""`penalty` is on the squared weights beside the squared error of standardised labels."""

MOST_ROWS = 40_000
BATCH = 256
PATIENCE = 4
"""Passes without a gain after which it stops."""

PROBED_ROWS = 500


@dataclass(frozen=True)
class FittedNeural:
    """A pipeline of scaler and network whose output is in returns.

    Attributes:
        strengths: (features,), how far predictions move when the feature is put to its mean.
    """

    pipeline: Pipeline
    strengths: np.ndarray
    output: Output = AS_IT_IS

    @property
    def centre(self) -> np.ndarray:
        """The mean of each feature, (features,), that the scaler takes away; of the rows of the fit."""
        mean: np.ndarray = self.pipeline["scaler"].mean_
        return mean

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predicted returns (rows,)."""
        predicted: np.ndarray = self.pipeline.predict(np.asarray(X, dtype=np.float64))
        return predicted

    def importance(self, features: Sequence[str]) -> dict[str, float]:
        """Shares of what predictions move when a feature is put to its mean."""
        return shares(self.strengths, features)

    def save(self, folder: Path) -> ModelFile:
        """Write `model.onnx`, scaler included."""
        return save_pipeline(self.pipeline, folder)


@dataclass(frozen=True)
class Neural:
    """A network of one hidden layer, by Adam on batches."""

    name = "neural"
    space = SPACE

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        params: Params,
        seed: int,
        weight: np.ndarray | None = None,
        threads: int = 1,
        time: np.ndarray | None = None,
    ) -> FittedNeural:
        """Pass over the rows; with early stopping as often as was best on the last rows.

        Raises:
            ValueError: the rows came without their times, which early stopping needs.
            NotEnoughHistory: there is nothing before the last rows.
        """
        rows, passes = BoostingRows(X, y, weight), int(params["passes"])
        with threadpool_limits(1, user_api="blas"):
            if params["stopping"] == "early":
                before, last = rows.apart(time)
                if last.mass and before.mass:
                    passes = _best_passes(before, last, params, seed)
            network = next(islice(_passes(rows, params, seed), passes - 1, None))
            pipeline = network.in_returns()
            return FittedNeural(pipeline, _strengths(pipeline, X))


@dataclass(frozen=True)
class _Network:
    """A network in the making, and the scale of its rows."""

    scale: Scale
    regressor: MLPRegressor

    def predict(self, X: np.ndarray) -> np.ndarray:
        predicted: np.ndarray = self.regressor.predict(self.scale.features(X)) * self.scale.deviation + self.scale.mean
        return predicted

    def in_returns(self) -> Pipeline:
        """The network with the label's scale folded into its last layer; it is not trained on after that."""
        regressor, scale = self.regressor, self.scale
        regressor.coefs_[-1] = regressor.coefs_[-1] * scale.deviation
        regressor.intercepts_[-1] = regressor.intercepts_[-1] * scale.deviation + scale.mean
        return Pipeline([("scaler", scale.scaler), ("estimator", regressor)])


def _passes(rows: BoostingRows, params: Params, seed: int) -> Iterator[_Network]:
    """One and the same network after each further pass over the rows, without end."""
    draw = np.random.RandomState(seed)
    scale = Scale.of(rows.X, rows.y, rows.weight)
    sample = rows.take(_sample(rows, draw))
    Z, target = scale.features(sample.X), scale.label(sample.y)
    batch = min(BATCH, len(target))
    regressor = MLPRegressor(
        hidden_layer_sizes=(int(params["hidden"]),),
        activation="tanh",
        alpha=params["penalty"] * batch,  # which it divides by the rows of a batch
        batch_size=batch,
        learning_rate_init=params["learning_rate"],
        random_state=draw,
    )
    while True:
        regressor.partial_fit(Z, target, sample_weight=sample.weight)
        yield _Network(scale, regressor)


def _sample(rows: BoostingRows, draw: np.random.RandomState) -> np.ndarray:
    """Positions of at most `MOST_ROWS` rows that have a weight, in order."""
    weighed = np.arange(len(rows.y)) if rows.weight is None else np.flatnonzero(rows.weight)
    return weighed if len(weighed) <= MOST_ROWS else np.sort(draw.choice(weighed, MOST_ROWS, replace=False))


def _best_passes(before: BoostingRows, last: BoostingRows, params: Params, seed: int) -> int:
    """After how many passes over the rows before, the squared error of the last rows is lowest."""
    best, passes = np.inf, 1
    for number, network in enumerate(islice(_passes(before, params, seed), int(params["passes"])), start=1):
        error = float(np.average((network.predict(last.X) - last.y) ** 2, weights=last.weight))
        if error < best:
            best, passes = error, number
        elif number - passes >= PATIENCE:
            break
    return passes


def _strengths(pipeline: Pipeline, X: np.ndarray) -> np.ndarray:
    """Mean absolute change of the predictions of some rows when a feature is put to its mean, (features,)."""
    probed = X[np.linspace(0, len(X) - 1, min(len(X), PROBED_ROWS)).astype(int)]
    said, mean = pipeline.predict(probed), pipeline["scaler"].mean_
    strengths = np.zeros(X.shape[1])
    for column in np.flatnonzero(np.ptp(X, axis=0)):
        moved = probed.copy()
        moved[:, column] = mean[column]
        strengths[column] = np.abs(pipeline.predict(moved) - said).mean()
    return strengths


NEURAL = Neural()

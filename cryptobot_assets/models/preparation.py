"""What is done to labels and rows before an algorithm learns from them, chosen by tuning.

    rows --weighting--> weight          labels --scaling--> --clipping--> target --fit--> model
                                                    prediction <--volatility multiplied in--

Every choice starts with doing nothing. What a choice needs is learned from the rows that are
fitted on, never from those that are tested on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.domain.uniqueness import average_uniqueness
from cryptobot_assets.domain.volatility import has_volatility, trailing_volatility
from cryptobot_assets.models.base import Algorithm, Choice, FittedModel, ModelFile, Params, Range, Space
from cryptobot_assets.models.ensemble import Combination, joint, members_of, own
from cryptobot_assets.models.output import Output, VolatilityScale

CLIP = Range(0.0, 0.05, default=0.0)
WEIGHTING = Choice(("equal", "uniqueness"), default="equal")
SCALING = Choice(("none", "volatility"), default="none")
VOLATILITY_BOUNDS = (0.01, 0.99)
"""Quantiles of the training rows' volatility that bound the scale."""

SMALLEST_VOLATILITY = 1e-4

UNPREPARED = frozenset({"zero", "momentum"})
"""Algorithms that fit nothing, so that rows and labels need no preparation."""


@dataclass(frozen=True)
class TrainingRows:
    """Rows to learn from.

    Attributes:
        X: float64 (rows, features), finite.
        target: float64 (rows,), finite: realised returns, or what is learned in their place.
        time: (rows,) datetime64, open times.
        currency: (rows,) names.
        features: names of the columns of X.
    """

    X: np.ndarray
    target: np.ndarray
    time: np.ndarray
    currency: np.ndarray
    features: tuple[str, ...]

    @classmethod
    def of(cls, samples: Samples, target: np.ndarray) -> TrainingRows:
        """Samples with what is to be learned of each."""
        return cls(samples.X, target, samples.time, samples.currency, samples.features)

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: np.ndarray) -> TrainingRows:
        """The rows named by an index or mask."""
        return TrainingRows(self.X[rows], self.target[rows], self.time[rows], self.currency[rows], self.features)

    @cached_property
    def uniqueness(self) -> np.ndarray:
        """Weight of each row (rows,): its label's average uniqueness among these rows, 1 in the mean."""
        weight = average_uniqueness(self.time, self.currency, HORIZON)
        relative: np.ndarray = weight / weight.mean()
        return relative

    @cached_property
    def volatility_scale(self) -> VolatilityScale:
        """The scale learned from these rows."""
        low, high = np.quantile(trailing_volatility(self.X, self.features), VOLATILITY_BOUNDS)
        return VolatilityScale(max(float(low), SMALLEST_VOLATILITY), max(float(high), SMALLEST_VOLATILITY))


def choices(features: Sequence[str]) -> Space:
    """The searched choices of preparation for rows of these features."""
    offered: dict[str, Range | Choice] = {"target_clip": CLIP, "weighting": WEIGHTING}
    return {**offered, "target_scaling": SCALING} if has_volatility(features) else offered


def search_space(algorithm: Algorithm, features: Sequence[str]) -> Space:
    """All that is searched for an algorithm on rows of these features; of an ensemble, for each member by itself."""
    if members := members_of(algorithm):
        return joint({name: search_space(member, features) for name, member in members.items()})
    return {**algorithm.space, **({} if algorithm.name in UNPREPARED else choices(features))}


@dataclass(frozen=True)
class PreparedModel:
    """A model whose numbers are in units of volatility, together with the scale."""

    inner: FittedModel
    scale: VolatilityScale
    features: tuple[str, ...]

    @property
    def output(self) -> Output:
        """What the inner model does with its file's numbers, and the scale."""
        return replace(self.inner.output, volatility=self.scale)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predicted returns (rows,)."""
        returns: np.ndarray = self.inner.predict(X) * self.scale.of(X, self.features)
        return returns

    def importance(self, features: Sequence[str]) -> dict[str, float]:
        """Shares of the features in the number that is scaled."""
        return self.inner.importance(features)

    def save(self, folder: Path) -> ModelFile:
        """Write the inner model; the card holds the scale."""
        return self.inner.save(folder)


def fit_prepared(
    algorithm: Algorithm, rows: TrainingRows, *, params: Params, seed: int, threads: int = 1
) -> FittedModel:
    """The algorithm fitted on rows prepared as `params` say; a choice they do not name is not made.

    The members of an ensemble are fitted on rows that are prepared for each as its own `params` say.
    The same arguments give the same model.
    """
    if members := members_of(algorithm):
        options = {"seed": seed, "threads": threads}
        models = {name: fit_prepared(one, rows, params=own(params, name), **options) for name, one in members.items()}
        return Combination(models, rows.features)
    scale = rows.volatility_scale if params.get("target_scaling") == "volatility" else None
    target = rows.target if scale is None else rows.target / scale.of(rows.X, rows.features)
    model = algorithm.fit(
        rows.X,
        _clipped(target, float(params.get("target_clip", 0.0))),
        params=params,
        seed=seed,
        weight=rows.uniqueness if params.get("weighting") == "uniqueness" else None,
        threads=threads,
        time=rows.time,
    )
    return model if scale is None else PreparedModel(model, scale, rows.features)


def _clipped(target: np.ndarray, share: float) -> np.ndarray:
    """The target with the lowest and highest share of its values cut to the quantiles there; none changes its sign."""
    if not share:
        return target
    low, high = np.quantile(target, [share, 1 - share])
    clipped: np.ndarray = np.clip(target, min(low, 0.0), max(high, 0.0))
    return clipped

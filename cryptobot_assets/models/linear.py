"""The linear algorithms: scikit-learn estimators behind a scaler, saved as ONNX.

Labels are daily returns with a deviation near 0.03, on which penalties of the usual size would
erase everything: `fit` standardises features and label with the training rows' mean and
deviation, so that a penalty means the same at any volatility, and folds the label's scale back
into the coefficients. A lasso penalty is then directly a correlation: on independent features,
one whose correlation with the label is below `alpha` gets no coefficient.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import BayesianRidge, ElasticNet, HuberRegressor, Lasso, LassoLars, LinearRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cryptobot_assets.models.base import ModelFile, Params, Range, Space, shares
from cryptobot_assets.models.output import AS_IT_IS, Output
from cryptobot_assets.models.pipelines import Scale, save_pipeline

HUBER_ITERATIONS = 100


@dataclass(frozen=True)
class FittedLinear:
    """A pipeline of scaler and estimator whose coefficients are in returns."""

    pipeline: Pipeline
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
        """Shares of the absolute coefficients per standard deviation of each feature."""
        return shares(np.abs(self.pipeline["estimator"].coef_), features)

    def save(self, folder: Path) -> ModelFile:
        """Write `model.onnx`, scaler included."""
        return save_pipeline(self.pipeline, folder)


Solve = Callable[[np.ndarray, np.ndarray, np.ndarray | None, Params], RegressorMixin]


@dataclass(frozen=True)
class LinearAlgorithm:
    """A linear estimator, its search space and how it is solved on standardised rows."""

    name: str
    space: Space
    solve: Solve

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
    ) -> FittedLinear:
        """Fit on standardised rows; nothing here is random or threaded, so `seed`, `threads` and `time` go unused."""
        scale = Scale.of(X, y, weight)
        # One thread: a few dozen columns leave nothing to share out, and a busy machine makes it wait.
        with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
            # A solution short of convergence is judged like any other, by its error out of sample.
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator = self.solve(scale.features(X), scale.label(y), weight, params)
        estimator.coef_ = np.ravel(estimator.coef_) * scale.deviation
        estimator.intercept_ = np.float64(np.ravel(estimator.intercept_)[0] * scale.deviation + scale.mean)
        return FittedLinear(Pipeline([("scaler", scale.scaler), ("estimator", estimator)]))


def _least_squares(make: Callable[[Params, int], RegressorMixin]) -> Solve:
    """Solve an estimator of the least squares family, weights taken into the rows."""

    def solve(Z: np.ndarray, target: np.ndarray, weight: np.ndarray | None, params: Params) -> RegressorMixin:
        if weight is not None:
            root = np.sqrt(weight / weight.mean())
            Z, target = Z * root[:, None], target * root
        return make(params, len(target)).fit(Z, target)

    return solve


def _solve_huber(Z: np.ndarray, target: np.ndarray, weight: np.ndarray | None, params: Params) -> HuberRegressor:
    """Huber from the ridge solution: a few dozen steps, where from zero correlated lags take hundreds."""
    rows = len(target)
    start = _least_squares(lambda p, n: Ridge(alpha=p["penalty"] * n, fit_intercept=False))(Z, target, weight, params)
    huber = HuberRegressor(
        epsilon=params["epsilon"],
        alpha=params["penalty"] * rows,
        max_iter=HUBER_ITERATIONS,
        warm_start=True,
    )
    huber.coef_, huber.intercept_ = start.coef_, 0.0
    huber.scale_ = float(np.std(target - Z @ start.coef_)) or 1.0
    return huber.fit(Z, target, sample_weight=weight)


LASSO_ALPHA = Range(1e-4, 0.2, default=5e-3, log=True)
RIDGE_PENALTY = Range(1e-3, 1e3, default=0.3, log=True)
"""Ridge penalty per training row, so that it carries over from a fold to the final fit."""

RELATIVE_PENALTY = Range(1e-2, 10.0, default=0.1, log=True)
"""The same for ranks, whose effects are weak but many rows deep."""


def fixed_line(X: np.ndarray, coefficients: np.ndarray) -> FittedLinear:
    """A model whose coefficients (features,) were chosen, not fitted: X @ coefficients."""
    scaler, line = StandardScaler().fit(X), LinearRegression()
    line.coef_ = coefficients * scaler.scale_
    line.intercept_ = np.float64(scaler.mean_ @ coefficients)
    line.n_features_in_ = X.shape[1]
    return FittedLinear(Pipeline([("scaler", scaler), ("estimator", line)]))


def _solve_autoregression(
    Z: np.ndarray, target: np.ndarray, weight: np.ndarray | None, params: Params
) -> LinearRegression:
    """Least squares on the first `order` columns, which lead from yesterday into the past."""
    past = Z[:, : int(params["order"])]
    line = _least_squares(lambda p, rows: LinearRegression(fit_intercept=False))(past, target, weight, params)
    line.coef_ = np.concatenate([line.coef_, np.zeros(Z.shape[1] - past.shape[1])])
    line.n_features_in_ = Z.shape[1]
    return line


def _ridge(params: Params, rows: int) -> RegressorMixin:
    return Ridge(alpha=params["penalty"] * rows, fit_intercept=False)


LINEAR: dict[str, LinearAlgorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        LinearAlgorithm("ridge", {"penalty": RIDGE_PENALTY}, _least_squares(_ridge)),
        LinearAlgorithm("relativeridge", {"penalty": RELATIVE_PENALTY}, _least_squares(_ridge)),
        LinearAlgorithm("ar", {"order": Range(1, 14, default=5)}, _solve_autoregression),
        LinearAlgorithm(
            "lasso",
            {"alpha": LASSO_ALPHA},
            _least_squares(
                lambda p, rows: Lasso(alpha=p["alpha"], precompute=True, fit_intercept=False, max_iter=5_000)
            ),
        ),
        LinearAlgorithm(
            "elasticnet",
            {
                "alpha": Range(1e-4, 0.3, default=1e-2, log=True),
                "l1_ratio": Range(0.05, 0.95, default=0.5),
            },
            _least_squares(
                lambda p, rows: ElasticNet(
                    alpha=p["alpha"],
                    l1_ratio=p["l1_ratio"],
                    precompute=True,
                    fit_intercept=False,
                    max_iter=5_000,
                )
            ),
        ),
        LinearAlgorithm(
            "lassolars",
            {"alpha": LASSO_ALPHA},
            _least_squares(lambda p, rows: LassoLars(alpha=p["alpha"], precompute=True, fit_intercept=False)),
        ),
        LinearAlgorithm(
            "bayesianridge",
            {
                "lambda_1": Range(1e-6, 1e4, default=1e-6, log=True),
                "lambda_2": Range(1e-6, 1.0, default=1e-6, log=True),
            },
            _least_squares(
                lambda p, rows: BayesianRidge(lambda_1=p["lambda_1"], lambda_2=p["lambda_2"], fit_intercept=False)
            ),
        ),
        LinearAlgorithm(
            "huber",
            {"penalty": RIDGE_PENALTY, "epsilon": Range(1.05, 3.0, default=1.35)},
            _solve_huber,
        ),
    )
}

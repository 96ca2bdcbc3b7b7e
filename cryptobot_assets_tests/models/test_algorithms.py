from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cryptobot_assets.contracts.models import LEARNERS, ModelContract, fit_default, make_returns
from cryptobot_assets.errors import UsageError
from cryptobot_assets.models.algorithms import ALGORITHMS, DEFAULT_ALGORITHMS, require_algorithms


@pytest.fixture(params=LEARNERS)
def algorithm(request: pytest.FixtureRequest) -> str:
    return request.param


class TestEveryAlgorithm(ModelContract):
    pass


def test_eight_and_one_that_ranks_need_no_asking() -> None:
    assert set(DEFAULT_ALGORITHMS) == {
        "xgboost", "catboost", "lassolars", "lasso", "ridge", "bayesianridge", "elasticnet", "huber",
        "relativeridge",
    }  # fmt: skip
    assert set(ALGORITHMS) - set(DEFAULT_ALGORITHMS) == {
        "zero", "momentum", "ar", "xgboostdirection", "xgboostrank", "neural", "ensemble",
    }  # fmt: skip
    assert all(name == algorithm.name for name, algorithm in ALGORITHMS.items())


def test_naming_them_imports_no_library() -> None:
    code = (
        "import sys, cryptobot_assets.models.algorithms, cryptobot_assets.models.loading;"
        "print([m for m in ('sklearn', 'xgboost', 'catboost', 'onnxruntime', 'optuna', 'mlflow') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_none_chosen_means_the_default_ones_and_an_unknown_one_is_refused() -> None:
    assert require_algorithms(()) == DEFAULT_ALGORITHMS
    with pytest.raises(UsageError, match="no such algorithm: magic; choose from xgboost"):
        require_algorithms(["ridge", "magic"])


def test_a_linear_model_is_the_textbook_ridge() -> None:
    X, y = make_returns(rows=500)
    X = X[:, :3]
    model = ALGORITHMS["ridge"].fit(X, y, params={"penalty": 0.5}, seed=0)
    Z = (X - X.mean(0)) / X.std(0)
    coefficients = np.linalg.solve(Z.T @ Z + 0.5 * 500 * np.eye(3), Z.T @ (y - y.mean()))
    np.testing.assert_allclose(model.predict(X), y.mean() + Z @ coefficients, atol=1e-12)


def test_huber_shrugs_off_a_crash_that_bends_ridge() -> None:
    X, y = make_returns(rows=2_000)
    crashed = y.copy()
    crashed[np.argsort(X[:, 0])[-20:]] = -0.9
    clean = fit_default("ridge", X, y).predict(X)
    bent = [np.abs(fit_default(name, X, crashed).predict(X) - clean).mean() for name in ("huber", "ridge")]
    assert bent[0] < 0.5 * bent[1]

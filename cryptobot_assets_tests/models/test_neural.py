"""A neural network that stops by the last of its training rows, and never by what comes after them."""

from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.contracts.models import default_params, make_hours, make_returns
from cryptobot_assets.models import neural
from cryptobot_assets.models.neural import NEURAL

DEFAULTS = default_params("neural")
LAST = 960
"""First of the last fifth of 1,200 rows."""


def fit(X: np.ndarray, y: np.ndarray, **params: object) -> np.ndarray:
    return NEURAL.fit(X, y, params=DEFAULTS | params, seed=4, time=make_hours(len(y))).predict(X)


def passes(y: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> tuple[int, np.ndarray, np.ndarray]:
    """How often it passes over rows of these labels, the labels it learns from meanwhile, and those it stops by."""
    chosen: list[tuple[int, np.ndarray, np.ndarray]] = []
    best = neural._best_passes

    def choose(before, last, *rest):
        chosen.append((best(before, last, *rest), before.y, last.y))
        return chosen[-1][0]

    monkeypatch.setattr(neural, "_best_passes", choose)
    fit(make_returns(rows=1_200)[0], y, learning_rate=0.01)
    return chosen[-1]


def test_it_stops_by_the_last_rows_and_learns_meanwhile_from_rows_before_the_purge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y = make_returns(rows=1_200)[0][:, 0]
    turned = np.where(np.arange(1_200) < LAST, y, -y)
    steady, before, last = passes(y, monkeypatch)
    assert passes(turned, monkeypatch)[0] < steady, "what it learns before is wrong for the last rows"
    np.testing.assert_array_equal(last, y[LAST:])
    np.testing.assert_array_equal(before, y[: LAST - 23])


def test_it_then_passes_as_often_over_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = make_returns(rows=1_200)
    chosen, *_ = passes(y, monkeypatch)
    stopped = fit(X, y, learning_rate=0.01)
    np.testing.assert_array_equal(stopped, fit(X, y, learning_rate=0.01, stopping="none", passes=chosen))


def test_it_needs_times_to_know_what_comes_last() -> None:
    X, y = make_returns(rows=300)
    with pytest.raises(ValueError, match="the times of the rows are needed"):
        NEURAL.fit(X, y, params=DEFAULTS, seed=0)


def test_of_many_rows_a_sample_is_learned_from_and_all_give_the_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neural, "MOST_ROWS", 200)
    X, y = make_returns(rows=1_200)
    seen: list[int] = []
    learn = neural.MLPRegressor.partial_fit

    def count(self, X, *rest, **options):
        seen.append(len(X))
        return learn(self, X, *rest, **options)

    monkeypatch.setattr(neural.MLPRegressor, "partial_fit", count)
    model = NEURAL.fit(X, y, params=DEFAULTS | {"passes": 4}, seed=0, time=make_hours(1_200))
    assert set(seen) == {200}
    np.testing.assert_allclose(model.centre, X.mean(axis=0), atol=1e-12)

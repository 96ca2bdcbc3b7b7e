"""The second look: skill is seen on every path and on strangers, none is seen in noise, and rows are bounded."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from cryptobot_assets.contracts.models import default_params
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import FittedModel
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared
from cryptobot_assets.models.second_look import (
    as_metrics,
    chosen_instants,
    look_at_paths,
    look_at_strangers,
)

DAY = timedelta(hours=24)


def make_rows(effect: float, *, hours: int = 900, currencies: int = 6) -> TrainingRows:
    draw = np.random.default_rng(4)
    times = np.repeat(np.datetime64("2024-01-01", "us") + np.arange(hours) * np.timedelta64(1, "h"), currencies)
    names = np.tile(np.array([f"C{n}" for n in range(currencies)], dtype=object), hours)
    X = draw.normal(size=(len(times), 3))
    return TrainingRows(X, effect * X[:, 0] + 0.03 * draw.normal(size=len(times)), times, names, ("a", "b", "c"))


def fit(rows: TrainingRows) -> FittedModel:
    return fit_prepared(ALGORITHMS["ridge"], rows, params=default_params("ridge"), seed=0)


def looked(rows: TrainingRows) -> dict[str, float | None]:
    paths = look_at_paths(fit, rows, embargo=DAY)
    return dict(as_metrics(paths, look_at_strangers(fit, rows, folds=2)))


def test_skill_is_on_every_path_and_holds_for_strangers():
    made = looked(make_rows(0.015))
    assert made["cpcv_paths"] == 4
    assert 0.1 < made["cpcv_gain_lowest"] <= made["cpcv_gain"] < 0.3
    assert 0.3 < made["cpcv_ic_lowest"] <= made["cpcv_ic"] < 0.6
    assert made["strangers_gain"] > 0.1
    assert made["strangers_ic"] > 0.3


def test_noise_gains_nothing():
    made = looked(make_rows(0.0))
    assert made["cpcv_gain"] < 0.001
    assert abs(made["cpcv_ic"]) < 0.05
    assert abs(made["strangers_ic"]) < 0.05


def test_one_currency_has_no_strangers():
    made = looked(make_rows(0.015, currencies=1, hours=2000))
    assert made["strangers_gain"] is None
    assert made["cpcv_ic"] > 0.3


@pytest.mark.parametrize(
    ("rows", "tuned", "most"), [(20_000, 5_400, 2_000), (1_200, 5_400, 1_200), (9_000, 10_000, 2_500)]
)
def test_rows_are_bounded_and_whole_instants(rows: int, tuned: int, most: int):
    times = make_rows(0.0).time
    chosen = chosen_instants(times, rows=rows, tuned=tuned)
    assert len(chosen) == pytest.approx(most, rel=0.01)
    assert (np.unique(times[chosen], return_counts=True)[1] == 6).all()


def test_few_rows_are_all_taken():
    times = make_rows(0.0, hours=100).time
    assert np.array_equal(chosen_instants(times, rows=20_000, tuned=600), np.arange(600))

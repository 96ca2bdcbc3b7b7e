"""The mean of tuned algorithms: each as it was tuned by itself, saved so that nothing has to be unpickled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryptobot_assets.contracts.models import (
    ModelContract,
    fit_default,
    holds_no_pickle,
    make_card,
    make_returns,
    make_training_rows,
)
from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.errors import RegistryError
from cryptobot_assets.models.algorithms import ALGORITHMS, DEFAULT_ALGORITHMS, MEMBERS, features_of
from cryptobot_assets.models.base import FittedModel, defaults
from cryptobot_assets.models.card import ModelCard, warmup, write_model
from cryptobot_assets.models.ensemble import joint, narrowed
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared, search_space
from cryptobot_assets.models.tuning import tune
from cryptobot_assets.models.witness import Witness

OWN = {
    "ridge": {"penalty": 0.1, "weighting": "uniqueness", "target_scaling": "volatility", "target_clip": 0.01},
    "lasso": {"alpha": 1e-3},
}
PARAMS = joint(OWN)


@pytest.fixture
def algorithm() -> str:
    return "ensemble"


class TestEnsemble(ModelContract):
    pass


def make_rows(rows: int = 400) -> TrainingRows:
    draw = np.random.default_rng(5)
    X = draw.normal(0, 0.02, (rows, len(DEFAULT_FEATURES)))
    return make_training_rows(X, 0.3 * X[:, 0] + draw.normal(0, 0.02, rows), features=DEFAULT_FEATURES)


def fit_two(rows: TrainingRows) -> FittedModel:
    return fit_prepared(narrowed(ALGORITHMS["ensemble"], PARAMS), rows, params=PARAMS, seed=1)


def test_its_members_are_the_default_ones_that_read_what_it_reads() -> None:
    own = [name for name in DEFAULT_ALGORITHMS if features_of(name) == features_of("ensemble")]
    assert set(own) == set(MEMBERS) == set(ALGORITHMS["ensemble"].members)


def test_it_is_the_mean_of_its_members_as_each_was_tuned(tmp_path: Path) -> None:
    rows = make_rows()
    model = fit_two(rows)
    alone = [fit_prepared(ALGORITHMS[name], rows, params=params, seed=1) for name, params in OWN.items()]
    expected = (alone[0].predict(rows.X) + alone[1].predict(rows.X)) / 2
    np.testing.assert_allclose(model.predict(rows.X), expected, rtol=1e-12)
    write_model(model, make_card_of(model), tmp_path)
    np.testing.assert_allclose(warm_up(load_scorer(tmp_path)).predict(rows.X), expected, rtol=1e-9, atol=1e-12)
    assert holds_no_pickle(tmp_path)
    facts = json.loads((tmp_path / "ensemble.json").read_text())["members"]
    assert [(one["member"], one["weight"]) for one in facts] == [("lasso", 0.5), ("ridge", 0.5)]


def make_card_of(model: FittedModel) -> ModelCard:
    any_card = make_card(fit_default("ridge", *make_returns(rows=100)))
    return replace(any_card, features=DEFAULT_FEATURES, **warmup(model, make_rows(3).X))


def test_a_member_that_is_not_the_one_that_was_saved_is_refused(tmp_path: Path) -> None:
    model = fit_two(make_rows())
    write_model(model, make_card_of(model), tmp_path)
    (tmp_path / "ridge" / "model.onnx").write_bytes((tmp_path / "lasso" / "model.onnx").read_bytes())
    with pytest.raises(RegistryError, match=r"ridge/model.onnx is missing or damaged"):
        load_scorer(tmp_path)


def test_what_it_searches_is_what_its_members_search() -> None:
    space = search_space(ALGORITHMS["ensemble"], DEFAULT_FEATURES)
    for name in MEMBERS:
        alone = search_space(ALGORITHMS[name], DEFAULT_FEATURES)
        assert {key: span for key, span in space.items() if key.startswith(f"{name}.")} == joint({name: alone})


def test_changing_later_rows_changes_no_earlier_fold() -> None:
    X, y = make_returns(rows=600)
    changed = np.where(np.arange(600) < 400, y, y + 1)
    folds = [(np.arange(200), np.arange(224, 400)), (np.arange(376), np.arange(400, 600))]
    algorithm = narrowed(ALGORITHMS["ensemble"], ["ridge.penalty", "xgboost.trees"])
    start = defaults(search_space(algorithm, make_training_rows(X, y).features))
    first, second = (
        tune(algorithm, make_training_rows(X, one), folds, trials=1, seed=0, first=start).trials[0]
        for one in (y, changed)
    )
    assert first.params == second.params == start
    assert first.fold_values[0] == second.fold_values[0]
    assert first.fold_values[1] != second.fold_values[1]


def test_a_witness_sees_what_each_member_is_handed_and_tested_on() -> None:
    rows = make_rows()
    witness = Witness(narrowed(ALGORITHMS["ensemble"], PARAMS), rows.X, rows.target)
    fit_prepared(witness, rows.take(np.arange(200)), params=PARAMS, seed=1).predict(rows.X[300:310])
    assert len(witness.fits) == 2
    for fit in witness.fits:
        np.testing.assert_array_equal(fit.seen.rows, np.arange(200))
        np.testing.assert_array_equal(fit.tested[0].rows, np.arange(300, 310))
    assert witness.afresh().fits == []

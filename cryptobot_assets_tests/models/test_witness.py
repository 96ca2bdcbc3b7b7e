"""A witness knows rows by their bits: which came, which are nobody's, and which cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.contracts.models import default_params, fit_default, make_returns
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.witness import Witness


def make_witness(name: str = "ridge") -> tuple[Witness, np.ndarray, np.ndarray]:
    X, y = make_returns(rows=400)
    return Witness(ALGORITHMS[name], X, y), X, y


def test_it_names_the_rows_of_every_fit_and_of_its_tests() -> None:
    witness, X, y = make_witness()
    rows = np.random.default_rng(0).permutation(400)
    model = witness.fit(X[rows[:200]], y[rows[:200]], params=default_params("ridge"), seed=0)
    for _ in range(2):
        model.predict(X[300:])
    fit = witness.fits[0]
    assert fit.seen.rows.tolist() == sorted(rows[:200].tolist())
    assert [one.rows.tolist() for one in fit.tested] == [list(range(300, 400))] * 2
    assert (fit.seen.unknown, fit.seen.alike, fit.other_labels) == (0, 0, 0)
    assert fit.off_centre < 1e-12


def test_rows_that_were_changed_are_unknown_and_labels_of_others_are_counted() -> None:
    witness, X, y = make_witness()
    witness.fit(np.nextafter(X[:100], np.inf), y[:100], params=default_params("ridge"), seed=0)
    witness.fit(X[:100], y[1:101], params=default_params("ridge"), seed=0)
    witness.fit(X[:100], np.clip(y[:100], -0.01, 0.01) / 0.03, params=default_params("ridge"), seed=0)
    changed, shifted, scaled = witness.fits
    assert (changed.seen.unknown, len(changed.seen.rows)) == (100, 0)
    assert 0.25 < shifted.other_labels < 0.75
    assert scaled.other_labels == 0


def test_rows_alike_are_counted_and_left_out() -> None:
    X, y = make_returns(rows=50)
    X[10] = X[20]
    seen = Witness(ALGORITHMS["ridge"], X, y).look(X[5:15])
    assert (seen.rows.tolist(), seen.unknown, seen.alike) == ([5, 6, 7, 8, 9, 11, 12, 13, 14], 0, 1)


def test_an_array_in_the_place_of_one_that_is_gone_is_looked_at_anew() -> None:
    witness, X, _ = make_witness()
    for first in range(0, 300, 10):
        assert witness.look(X[first : first + 10].copy()).rows[0] == first


@pytest.mark.parametrize("name", ["ridge", "xgboost"])
def test_the_model_is_the_algorithms_own(name: str) -> None:
    witness, X, y = make_witness(name)
    weight = np.linspace(0.1, 1, 400)
    model = witness.fit(X, y, params=default_params(name), seed=3, weight=weight)
    np.testing.assert_array_equal(model.predict(X), fit_default(name, X, y, weight=weight).predict(X))
    assert witness.fits[0].off_centre < 1e-9

"""Trees that learn directions or ranks, and returns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryptobot_assets.contracts.models import default_params, fit_default, make_card, make_returns
from cryptobot_assets.domain.relative import RELATIVE_FEATURES
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.calibration import rising_knots
from cryptobot_assets.models.card import warmup, write_model
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared

NAMES = 8


def ranked_rows(hours: int = 250, *, seed: int = 0) -> TrainingRows:
    """Eight currencies an hour; the first rank tells what each gains on the mean, weakly."""
    draw = np.random.default_rng(seed)
    X = draw.uniform(-0.5, 0.5, (hours * NAMES, len(RELATIVE_FEATURES)))
    y = 0.04 * X[:, 0] + draw.normal(0, 0.02, hours * NAMES)
    time = np.datetime64("2023-01-01", "us") + np.repeat(np.arange(hours), NAMES) * np.timedelta64(1, "h")
    names = np.tile([f"C{n}USDT" for n in range(NAMES)], hours).astype(object)
    return TrainingRows(X, y - np.repeat(y.reshape(hours, NAMES).mean(axis=1), NAMES), time, names, RELATIVE_FEATURES)


def test_ranks_are_learned_and_told_as_returns() -> None:
    rows, new = ranked_rows(), ranked_rows(seed=1)
    model = fit_prepared(ALGORITHMS["xgboostrank"], rows, params=default_params("xgboostrank"), seed=0)
    predictions = model.predict(new.X)
    assert np.corrcoef(predictions, new.X[:, 0])[0, 1] > 0.6
    assert np.mean((predictions - new.target) ** 2) < 0.9 * np.mean(new.target**2)
    scores, returns = np.array(model.output.knots).T
    assert (np.diff(scores) > 0).all()
    assert (np.diff(returns) >= 0).all()


def test_the_order_of_the_rows_does_not_matter_to_ranks() -> None:
    rows = ranked_rows(60)
    turned = rows.take(np.lexsort((rows.time, rows.currency.astype(str))))
    first, second = (
        fit_prepared(ALGORITHMS["xgboostrank"], one, params=default_params("xgboostrank") | {"row_share": 1.0}, seed=0)
        for one in (rows, turned)
    )
    assert np.corrcoef(first.predict(rows.X), second.predict(rows.X))[0, 1] > 0.8


def test_ranks_need_their_times() -> None:
    rows = ranked_rows(10)
    with pytest.raises(ValueError, match="times of the rows are needed"):
        fit_default("xgboostrank", rows.X, rows.target, time=None)


def test_a_direction_is_worth_the_mean_gain_and_the_mean_loss() -> None:
    X, y = make_returns()
    model = fit_default("xgboostdirection", X, y)
    assert model.output.knots == ((0.0, pytest.approx(y[y <= 0].mean())), (1.0, pytest.approx(y[y > 0].mean())))
    assert y[y <= 0].mean() < model.predict(X).min() < model.predict(X).max() < y[y > 0].mean()


def test_serving_repeats_what_a_score_is_worth(tmp_path: Path) -> None:
    rows = ranked_rows(60)
    model = fit_prepared(ALGORITHMS["xgboostrank"], rows, params=default_params("xgboostrank"), seed=0)
    card = make_card(fit_default("ridge", *make_returns(rows=50)))
    write_model(model, replace(card, features=RELATIVE_FEATURES, **warmup(model, rows.X[:4])), tmp_path)
    scorer = warm_up(load_scorer(tmp_path))
    assert scorer.card.output == model.output
    np.testing.assert_allclose(scorer.predict(rows.X), model.predict(rows.X), rtol=1e-6, atol=1e-9)


def test_a_line_of_worth_never_falls() -> None:
    draw = np.random.default_rng(0)
    scores = draw.normal(size=500)
    knots = np.array(rising_knots(scores, 0.1 * scores + draw.normal(size=500)))
    assert (np.diff(knots, axis=0) >= [0, 0]).all()
    assert len(knots) == 20
    assert rising_knots(np.ones(10), np.arange(10.0)) == ((1.0, 4.5),)

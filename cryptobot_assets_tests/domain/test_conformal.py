"""Intervals of residuals against the library, and whether outcomes fell inside."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import make_closes, make_predictions
from cryptobot_assets.domain.conformal import interval_coverage, residual_bounds


def bounds_of_the_library(residuals: np.ndarray) -> tuple[float, float]:
    """What MAPIE adds to a prediction; its import takes seconds, which only the worker of this test need spend."""
    from mapie.conformity_scores import AbsoluteConformityScore
    from mapie.regression import SplitConformalRegressor
    from sklearn.dummy import DummyRegressor

    rows = np.zeros((len(residuals), 1))
    zero = DummyRegressor(strategy="constant", constant=0.0).fit(rows, residuals)
    score = AbsoluteConformityScore(sym=False)
    library = SplitConformalRegressor(zero, confidence_level=0.9, conformity_score=score, prefit=True)
    library.conformalize(rows, residuals)
    return tuple(library.predict_interval(rows[:1])[1].ravel())


@pytest.mark.parametrize("count", [39, 57, 1_000, 1_234])
def test_the_bounds_are_those_of_the_library(count: int) -> None:
    residuals = np.random.default_rng(count).standard_t(3, count) * 0.03 + 0.01
    assert residual_bounds(residuals) == pytest.approx(bounds_of_the_library(residuals), rel=1e-12)


def test_few_residuals_give_their_own_ends() -> None:
    assert residual_bounds(np.array([0.2, -0.1, 0.1])) == (-0.1, 0.2)


def test_new_outcomes_fall_inside_as_often_as_promised() -> None:
    draw = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        low, high = residual_bounds(draw.standard_t(4, 39))
        shares.append(np.mean((fresh := draw.standard_t(4, 200)) >= low) - np.mean(fresh > high))
    assert np.mean(shares) == pytest.approx(0.9, abs=0.01)


def make_market(days: int = 30) -> pl.DataFrame:
    closes = pl.concat([make_closes(24 * days, currency=f"C{n}USDT", seed=n) for n in range(3)])
    return make_predictions(closes).drop_nulls("realised_return")


def with_second_version(rows: pl.DataFrame) -> pl.DataFrame:
    """One currency of three by version 2."""
    return rows.with_columns(version=pl.when(pl.col("currency") == "C1USDT").then(pl.lit("2")).otherwise("version"))


def test_the_share_inside_is_counted_by_each_row_s_own_version() -> None:
    rows = with_second_version(make_market())
    bounds = {"1": (-0.015, 0.01), "2": (-1.0, 1.0)}
    made = interval_coverage(rows, bounds, "1h", seed=1, draws=60)
    missed = rows["realised_return"] - rows["predicted_return"]
    inside = ((missed >= -0.015) & (missed <= 0.01)) | (rows["currency"] == "C1USDT")
    assert made.realised == pytest.approx(inside.mean())
    assert made.rows == rows.height
    assert made.nominal == 0.9
    assert made.ci[0] < made.realised < made.ci[1]


def test_rows_of_a_version_whose_bounds_nobody_kept_are_left_out() -> None:
    rows = make_market()
    assert interval_coverage(rows, {}, "1h", seed=1) is None
    assert interval_coverage(rows, {"7": (-0.1, 0.1)}, "1h", seed=1) is None
    assert (
        interval_coverage(with_second_version(rows), {"2": (-1.0, 1.0)}, "1h", seed=1, draws=0).rows == rows.height / 3
    )

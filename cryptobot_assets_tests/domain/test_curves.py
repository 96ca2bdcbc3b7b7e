"""What a report draws agrees with what it says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import START, make_closes, make_predictions
from cryptobot_assets.domain.curves import (
    MOST_BPS,
    calibration,
    cost_curve,
    days_from,
    density,
    equity_band,
    skill_by_currency,
    skill_course,
)
from cryptobot_assets.domain.evaluation import Evaluation, evaluate
from cryptobot_assets.domain.pool_value import Costs, equity
from cryptobot_assets.domain.portfolio import Run

DRAWS, SEED, CURRENCIES, DAYS = 40, 3, 4, 30


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Hourly rows with some skill: a third of the outcome, and noise."""
    closes = pl.concat([make_closes(24 * (DAYS + 1), currency=f"C{n}USDT", seed=n) for n in range(CURRENCIES)])
    made = make_predictions(closes).drop_nulls("realised_return")
    noise = np.random.default_rng(0).normal(0, 0.01, made.height)
    return made.with_columns(predicted_return=pl.col("realised_return") / 3 + noise)


@pytest.fixture(scope="module")
def evaluation(rows: pl.DataFrame) -> Evaluation:
    closes = pl.concat([make_closes(24 * (DAYS + 1), currency=f"C{n}USDT", seed=n) for n in range(CURRENCIES)])
    return evaluate(rows, closes, interval="1h", costs=Costs(fee_bps=10, slippage_bps=2), seed=SEED, draws=DRAWS)


def test_calibration_is_the_mean_of_each_tenth(rows: pl.DataFrame) -> None:
    made = calibration(rows, seed=SEED, draws=DRAWS)
    ordered = rows.sort("predicted_return")
    first = ordered.head(rows.height // 10)
    assert made.rows.sum() == rows.height and len(made.rows) == 10 and np.ptp(made.rows) <= 1
    assert made.predicted[0] == pytest.approx(first["predicted_return"].mean(), rel=0.01)
    assert made.realised[0] == pytest.approx(first["realised_return"].mean(), rel=0.02)
    low, high = made.band
    assert (low <= made.realised).all() and (made.realised <= high).all() and (low < high).all()
    assert (np.diff(made.predicted) > 0).all() and made.realised[-1] > made.realised[0]


def test_equal_predictions_are_one_tenth(rows: pl.DataFrame) -> None:
    made = calibration(rows.with_columns(predicted_return=pl.lit(0.01)), seed=SEED, draws=0)
    assert made.band is None and made.rows.tolist() == [rows.height]
    assert made.realised[0] == pytest.approx(rows["realised_return"].mean())


def test_density_counts_every_row_once(rows: pl.DataFrame) -> None:
    made = density(rows)
    assert made.counts.sum() + made.outside == rows.height
    assert 0 < made.outside < 0.025 * rows.height
    assert made.counts.shape == (len(made.predicted) - 1, len(made.realised) - 1)
    flat = density(rows.with_columns(predicted_return=pl.lit(0.0)))
    assert flat.counts.sum() + flat.outside == rows.height


def test_the_course_of_skill_ends_at_the_reported_figure_and_interval(evaluation: Evaluation) -> None:
    course = skill_course(evaluation.score.skill, seed=SEED, draws=DRAWS)
    assert course.so_far[-1] == pytest.approx(evaluation.score.ic)
    assert (course.band[0][-1], course.band[1][-1]) == pytest.approx(evaluation.score.ic_ci)
    assert course.weeks[0] == START and len(course.weeks) == 5 == len(course.of_week)
    first = evaluation.score.skill.head(24 * 7)["skill"].mean()
    assert course.of_week[0] == pytest.approx(first) and course.so_far[0] == pytest.approx(first)
    widths = course.band[1] - course.band[0]
    assert widths[0] > widths[-1]


def test_no_skill_has_no_course() -> None:
    empty = pl.DataFrame(schema={"time": pl.Datetime("us", "UTC"), "skill": pl.Float64})
    assert skill_course(empty, seed=SEED).weeks == ()


def test_each_currency_has_its_own_skill(rows: pl.DataFrame) -> None:
    made = skill_by_currency(rows.with_columns(
        predicted_return=pl.when(pl.col("currency") == "C1USDT").then("realised_return").otherwise("predicted_return")
    ))  # fmt: skip
    assert made["currency"][0] == "C1USDT" and made["ic"][0] == pytest.approx(1.0)
    assert made["ic"].is_sorted(descending=True) and set(made["currency"]) == {f"C{n}USDT" for n in range(CURRENCIES)}
    assert made["reach"][0] == pytest.approx(1.6449 / DAYS**0.5)


def test_the_band_of_equity_ends_at_the_reported_interval(evaluation: Evaluation) -> None:
    low, high = equity_band(evaluation.pool.daily_net, seed=SEED, draws=DRAWS)
    assert low[0] == high[0] == 1.0
    assert (low[-1], high[-1]) == pytest.approx(evaluation.pool.net_ci)
    assert len(low) == len(equity(evaluation.pool)) == len(days_from(evaluation.hours.first, len(low)))
    assert equity_band(np.ones((3, 24)), seed=SEED) is None


def test_costs_are_charged_on_what_is_traded() -> None:
    run = Run(growth=np.full((2, 24), 1.1), traded=np.full((2, 24), 2.0), positions=1.0, invested=1.0)
    costs, values = cost_curve(run)
    assert (costs[0], costs[-1]) == (0.0, MOST_BPS)
    assert values[0] == pytest.approx(1.21)
    assert values[-1] == pytest.approx(1.21 * (1 - 2 * MOST_BPS / 10_000) ** 2)

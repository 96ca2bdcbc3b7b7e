"""The gate and the intervals on markets whose truth is known; the full sweep is benchmarks/known_markets.py."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.audit.known_market import Covered, Plan, covered, whole_market
from cryptobot_assets_tests.audit.simulated import judge_simulated, simulated_klines

ALGORITHMS = ("ridge", "relativeridge")
REACH = np.array([-1.645, 1.645])
"""Of a 90 % interval, in deviations."""
NULL = Plan(algorithms=ALGORITHMS, training_days=60, evaluated_days=40, draws=0)
PLANTED = Plan(algorithms=ALGORITHMS, training_days=90, evaluated_days=40, spans=5, draws=100)


def test_the_gate_passes_hardly_any_market_without_truth() -> None:
    verdicts = [judge_simulated(seed, NULL, currencies=6, predictability=0.0).verdict for seed in range(5)]
    assert sum(one.promote for one in verdicts) <= 1


@pytest.fixture(scope="module")
def planted() -> list:
    return [judge_simulated(seed, PLANTED, currencies=6, predictability=3.0) for seed in range(3)]


def test_a_planted_effect_is_found(planted: list) -> None:
    assert all(one.verdict.promote for one in planted)
    assert all(span.truth > 0.1 for one in planted for span in one.ic["ridge"])


def test_the_truth_lies_in_most_intervals(planted: list) -> None:
    spans = [span for one in planted for found in (one.ic, one.net) for one_each in found.values() for span in one_each]
    assert len(spans) == 60
    assert sum(span.holds for span in spans) / len(spans) > 0.75


def test_the_truth_of_independent_spans_is_held_as_often_as_an_interval_says() -> None:
    values = np.random.default_rng(5).normal(0.0, 1.0, (2_000, 4))
    for multiple, there in ((False, np.asarray), (True, np.exp)):
        spans = [
            span
            for market in values
            for span in covered([(float(there(v)), tuple(there(v + REACH))) for v in market], multiple=multiple)
        ]
        assert abs(np.mean([span.holds for span in spans]) - 0.9) < 0.01


def test_without_a_truth_span_nothing_is_said_of_it() -> None:
    judged = judge_simulated(3, NULL, currencies=6, predictability=0.0)
    assert (judged.ic, judged.net) == ({}, {})


def test_a_truth_outside_or_no_interval_is_not_held() -> None:
    assert Covered(1.0, (0.9, 1.1), 1.05).holds
    assert not Covered(1.0, (0.9, 1.1), 1.2).holds
    assert not Covered(1.0, None, 1.0).holds


def test_the_grid_of_hours_keeps_what_is_missing_missing() -> None:
    klines = simulated_klines(1, days=3, currencies=2, predictability=0.0)
    market = whole_market(klines)
    absent = klines["currency"].n_unique() * market.closes.shape[1] - klines.height
    assert absent > 0
    assert np.isnan(market.closes).sum() == absent
    own = klines.filter(pl.col("currency") == market.currencies[0])
    assert market.closes[0][np.isfinite(market.closes[0])].tolist() == own["close"].to_list()

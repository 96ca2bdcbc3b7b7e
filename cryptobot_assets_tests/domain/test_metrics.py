"""Scores, against the libraries that define them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from cryptobot_assets.contracts.factories import START, make_scored, make_times
from cryptobot_assets.domain.metrics import (
    at_whole_hours,
    classify,
    effective_sample_count,
    hourly_ic,
    information_coefficient,
    score,
)


def make_rows(currencies: int, hours: int, *, seed: int = 0, skill: float = 0.3, decimals: int = 4) -> pl.DataFrame:
    """Scored rows of independent returns that the predictions know a little about; ties included."""
    random = np.random.default_rng(seed)
    names = [f"C{n}" for n in range(currencies)]
    realised = {name: random.normal(0, 0.02, hours) for name in names}
    predicted = {
        name: np.round(skill * realised[name] + random.normal(0, 0.02, hours), decimals).tolist() for name in names
    }
    return make_scored(predicted, realised)


def alike(currencies: int, hours: int, *, noise: float = 0.0) -> pl.DataFrame:
    """Currencies that all move together, but for some noise."""
    random = np.random.default_rng(1)
    common = random.normal(0, 0.02, hours)
    realised = {f"C{n}": common + noise * random.normal(0, 0.02, hours) for n in range(currencies)}
    return make_scored({name: common.tolist() for name in realised}, realised)


def test_classification_is_that_of_scikit_learn():
    rows = make_rows(4, 300)
    found = classify(rows, "1h")
    said, truly = rows["predicted_return"].to_numpy() > 0, rows["realised_return"].to_numpy() > 0
    from sklearn.metrics import classification_report

    expected = classification_report(truly, said, output_dict=True)
    for name, one in (("False", found.down), ("True", found.up)):
        assert one.precision == pytest.approx(expected[name]["precision"])
        assert one.recall == pytest.approx(expected[name]["recall"])
        assert one.f1 == pytest.approx(expected[name]["f1-score"])
        assert one.support == expected[name]["support"]
    assert found.accuracy == pytest.approx(expected["accuracy"])
    assert found.base_rate == pytest.approx(truly.mean())


def test_always_up_has_the_base_rate_as_precision():
    rows = make_rows(3, 200).with_columns(predicted_return=pl.lit(0.01))
    found = classify(rows, "1h")
    assert found.up.precision == found.accuracy == found.base_rate
    assert (found.up.recall, found.down.precision, found.down.recall, found.down.f1) == (1.0, 0.0, 0.0, 0.0)
    assert found.down.support + found.up.support == 600


def test_no_return_is_not_up():
    found = classify(make_scored({"C0": [0.0, 0.1]}, {"C0": [0.1, 0.0]}), "1h")
    assert (found.up.support, found.down.support, found.accuracy) == (1, 1, 0.0)


def test_hourly_ic_is_spearman_s_at_each_time():
    rows = make_rows(7, 30, decimals=2)
    found = hourly_ic(rows)
    assert found["time"].to_list() == make_times(30).to_list()
    for time, value in found.iter_rows():
        here = rows.filter(pl.col("time") == time)
        assert value == pytest.approx(spearmanr(here["predicted_return"], here["realised_return"]).statistic)


def test_times_without_a_cross_section_have_no_ic():
    rows = make_scored(
        {"A": [0.1, 0.1, 0.1], "B": [0.2, 0.2, 0.1], "C": [0.3, None, 0.1]},
        {"A": [0.1, 0.1, 0.1], "B": [0.2, 0.2, 0.2], "C": [0.3, 0.3, 0.3]},
    )
    assert hourly_ic(rows).rows() == [(START, 1.0)]


def test_ic_is_the_mean_of_the_hours_within_its_interval():
    rows = make_rows(6, 400)
    value, (low, high) = information_coefficient(rows, seed=1, draws=200)
    assert value == pytest.approx(hourly_ic(rows)["ic"].mean())
    assert 0 < low < value < high


def test_one_currency_has_a_rank_correlation_over_time():
    rows = make_rows(1, 400)
    value, (low, high) = information_coefficient(rows.reverse(), seed=1, draws=100)
    assert value == pytest.approx(spearmanr(rows["predicted_return"], rows["realised_return"]).statistic)
    assert low < value < high


def test_the_interval_of_two_currencies_does_not_depend_on_the_order_of_rows():
    rows = make_rows(2, 300)
    shuffled = rows.sample(fraction=1, shuffle=True, seed=2)
    assert information_coefficient(rows, seed=1, draws=50) == information_coefficient(shuffled, seed=1, draws=50)


def test_blocks_of_two_currencies_hold_as_many_hours_as_those_of_one():
    """Two copies of a currency know no more than one: their interval is about as wide."""
    slow = [pl.col(name).rolling_mean(240, min_samples=1) for name in ("predicted_return", "realised_return")]
    one = make_rows(1, 1500).with_columns(slow)
    two = pl.concat([one, one.with_columns(currency=pl.lit("C9"))])
    widths = []
    for rows in (one, two):
        _, (low, high) = information_coefficient(rows, seed=3, draws=300)
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0], rel=0.12)


def test_constant_predictions_have_no_ic():
    flat = make_rows(4, 50).with_columns(predicted_return=pl.lit(0.0))
    assert information_coefficient(flat, seed=0) == (None, None)
    assert information_coefficient(flat.filter(pl.col("currency") == "C0"), seed=0) == (None, None)


def test_only_rows_known_at_whole_hours_decide():
    minutes = make_scored({"C0": [0.1] * 180}, {"C0": [0.1] * 180}, interval="1m")
    assert [time.minute for time in at_whole_hours(minutes, "1m")["time"]] == [59, 59, 59]
    hourly = make_rows(1, 10)
    assert at_whole_hours(hourly, "1h").equals(hourly)


def test_identical_currencies_are_one_sample_a_day():
    assert effective_sample_count(alike(10, 240), "1h") == pytest.approx(10.0)


def test_independent_currencies_are_as_many_samples_a_day():
    assert effective_sample_count(make_rows(10, 2400), "1h") == pytest.approx(1000.0, rel=0.1)


def test_correlated_currencies_lie_between():
    found = effective_sample_count(alike(5, 2400, noise=1.0), "1h")
    assert found == pytest.approx(100 * 5 / (1 + 4 * 0.5), rel=0.1)


def test_minutes_that_share_their_horizon_are_no_more_samples_than_hours():
    minutes = make_scored({"C0": [0.1] * 1440 * 3}, {"C0": [0.1] * 1440 * 3}, interval="1m")
    assert effective_sample_count(minutes, "1m") == effective_sample_count(make_rows(1, 72), "1h") == 3.0


def test_currencies_without_an_hourly_row_count_as_one():
    minutes = make_scored({"A": [0.1] * 30, "B": [0.2] * 30}, {"A": [0.1] * 30, "B": [0.2] * 30}, interval="1m")
    assert effective_sample_count(minutes, "1m") == pytest.approx(30 / 1440)


def test_the_score_sets_errors_beside_predicting_zero():
    rows = make_scored({"A": [0.1, 0.0], "B": [0.0, 0.0]}, {"A": [0.2, 0.2], "B": [-0.1, 0.0]})
    found = score(rows, "1h", seed=0)
    assert found.rows == 4
    assert found.mse == pytest.approx((0.01 + 0.04 + 0.01) / 4)
    assert found.mse_zero == pytest.approx((0.04 + 0.04 + 0.01) / 4)


def test_the_score_carries_the_ic_with_its_interval():
    rows = make_rows(4, 200)
    found = score(rows, "1h", seed=5, draws=40)
    assert (found.ic, found.ic_ci) == information_coefficient(rows, seed=5, draws=40)
    assert found.ic_ci[0] < found.ic < found.ic_ci[1]
    assert score(make_rows(4, 200), "1h", seed=0, draws=0).ic_ci is None


def test_the_score_at_minutes_takes_its_ic_from_whole_hours():
    random = np.random.default_rng(0)
    names, count = ["A", "B", "C", "D"], 600
    realised = {name: random.normal(0, 1, count) for name in names}
    minutes = make_scored({name: random.normal(0, 1, count).tolist() for name in names}, realised, interval="1m")
    first = START + timedelta(minutes=59)
    here = minutes.filter(pl.col("time").is_in([first + timedelta(hours=n) for n in range(10)]))
    assert score(minutes, "1m", seed=0).ic == pytest.approx(hourly_ic(here)["ic"].mean())

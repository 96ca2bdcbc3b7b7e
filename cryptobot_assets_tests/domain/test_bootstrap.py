"""Bootstrap intervals: honest about dependent samples, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from cryptobot_assets.domain.bootstrap import bootstrap_interval, understatement


def ar1(seed: int, count: int = 400, memory: float = 0.8) -> np.ndarray:
    """A series of mean zero whose neighbours are alike."""
    return lfilter([1.0], [1.0, -memory], np.random.default_rng(seed).standard_normal(count + 100))[100:]


def coverage(block: float, series: int = 80) -> float:
    held = 0
    for seed in range(series):
        low, high = bootstrap_interval(ar1(seed), np.mean, block=block, seed=seed, draws=150)
        held += low <= 0 <= high
    return held / series


def test_ninety_percent_intervals_hold_the_truth_about_as_often():
    assert 0.78 <= coverage(block=30) <= 0.97


def test_blocks_are_what_keeps_them_honest():
    assert coverage(block=1) < 0.65


def test_the_seed_makes_it_again():
    made = [bootstrap_interval(ar1(1), np.mean, block=10, seed=seed, draws=100) for seed in (5, 5, 6)]
    assert made[0] == made[1] != made[2]


def test_the_interval_surrounds_the_statistic_and_widens_with_the_level():
    narrow, wide = (bootstrap_interval(ar1(2), np.mean, block=10, seed=0, draws=300, level=x) for x in (0.5, 0.95))
    assert wide[0] < narrow[0] < ar1(2).mean() < narrow[1] < wide[1]


def test_whole_rows_are_drawn():
    pairs = np.column_stack([ar1(3), ar1(3) + 1])
    low, high = bootstrap_interval(pairs, lambda drawn: float((drawn[:, 1] - drawn[:, 0]).mean()), block=5, seed=0)
    assert (low, high) == pytest.approx((1.0, 1.0))


def test_too_few_rows_or_no_draws_have_no_interval():
    assert bootstrap_interval(np.ones(4), np.mean, block=2, seed=0) is None
    assert bootstrap_interval(np.ones(5), np.mean, block=2, seed=0) == (1.0, 1.0)
    assert bootstrap_interval(np.ones(50), np.mean, block=2, seed=0, draws=0) is None


def test_a_block_longer_than_the_series_is_cut():
    low, high = bootstrap_interval(np.arange(9.0), np.mean, block=1000, seed=0)
    assert low < high


def overlapping(seed: int, days: int) -> np.ndarray:
    """Hourly figures of 24 h labels: means of the 24 shocks that follow each hour."""
    shocks = np.random.default_rng(seed).standard_normal(days * 24 + 23)
    return np.convolve(shocks, np.ones(24) / 24, mode="valid")


def test_overlapping_labels_are_covered_as_often_as_the_interval_says():
    days, held, plain = 20, 0, 0
    for seed in range(120):
        series = overlapping(seed, days)
        low, high = bootstrap_interval(series, np.mean, block=48, overlap=24, seed=seed, draws=80)
        factor = understatement(days * 24, block=48, overlap=24)
        middle = series.mean()
        held += low <= 0 <= high
        plain += middle + (low - middle) / factor <= 0 <= middle + (high - middle) / factor
    assert 0.84 <= held / 120 <= 0.96
    assert plain / 120 < 0.84, "percentiles alone are too narrow"


def test_a_multiple_is_widened_in_its_logarithm():
    logs = ar1(4, count=60) / 10

    def value(sample: np.ndarray) -> float:
        return float(np.exp(sample.sum()))

    options = {"block": 3, "overlap": 2, "seed": 0, "draws": 200}
    low, high = bootstrap_interval(logs, value, positive=True, **options)
    of_logs = bootstrap_interval(logs, lambda sample: float(sample.sum()), **options)
    assert (np.log(low), np.log(high)) == pytest.approx(of_logs, rel=0.01)
    assert low > 0


def test_understatement_falls_with_the_span_and_is_one_for_single_rows():
    factors = [understatement(rows, block=48, overlap=24) for rows in (240, 720, 2400, 24_000)]
    assert factors == sorted(factors, reverse=True) and factors[-1] > 1
    assert understatement(10, block=1, overlap=1) == 1.0

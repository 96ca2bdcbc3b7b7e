"""Luck against skill: each figure beside a second implementation, and its rate on pure noise."""

from __future__ import annotations

from itertools import combinations
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import make_times
from cryptobot_assets.domain.significance import (
    CSCV_BLOCKS,
    FEWEST_HOURS,
    deflated_sharpe,
    no_skill_precision,
    overfitting_probability,
    sharpes,
    superiority,
)

HOURS = 1200


def noise(draw: np.random.Generator, count: int, hours: int = HOURS) -> np.ndarray:
    """Series as dependent as hourly skill of 24 h labels: moving averages of 24 draws."""
    raw = draw.normal(size=(hours + 23, count))
    return np.stack([np.convolve(raw[:, one], np.ones(24) / 24, "valid") for one in range(count)], axis=1)


def skills(values: np.ndarray) -> dict[str, pl.DataFrame]:
    times = make_times(len(values))
    return {f"a{one}": pl.DataFrame({"time": times, "skill": values[:, one]}) for one in range(values.shape[1])}


def test_skill_is_found_and_named():
    values = noise(np.random.default_rng(0), 5)
    values[:, 2] += 0.15
    found = superiority(skills(values), seed=0, draws=300)
    assert found.hours == HOURS
    assert found.p_value < 0.02
    assert found.superior == ("a2",)


def test_all_may_be_superior():
    values = noise(np.random.default_rng(0), 2, 800) + 0.5
    assert superiority(skills(values), seed=0, draws=60).superior == ("a0", "a1")


def test_without_skill_the_best_of_eight_is_seldom_superior():
    draw = np.random.default_rng(1)
    made = [superiority(skills(noise(draw, 8, 800)), seed=seed, draws=60) for seed in range(16)]
    assert sum(bool(one.superior) for one in made) <= 4
    assert np.mean([one.p_value for one in made]) > 0.35


def test_a_larger_scale_is_no_larger_skill():
    values = noise(np.random.default_rng(2), 3)
    values[:, 0] = values[:, 0] * 0.001 + 0.00015
    assert superiority(skills(values), seed=0, draws=300).superior == ("a0",)


def test_too_few_hours_say_nothing():
    few = skills(noise(np.random.default_rng(3), 2, FEWEST_HOURS - 1) + 9)
    assert superiority(few, seed=0).p_value is None
    assert superiority({}, seed=0).superior == ()
    assert superiority({"constant": skills(np.ones((HOURS, 1)))["a0"]}, seed=0).p_value is None


def test_only_common_hours_are_compared():
    values = skills(noise(np.random.default_rng(4), 2))
    values["a1"] = values["a1"].tail(HOURS - 100)
    assert superiority(values, seed=0, draws=50).hours == HOURS - 100


def test_the_deflated_sharpe_is_the_formula():
    draw = np.random.default_rng(5)
    daily, trials = draw.normal(0.002, 0.01, 250), draw.normal(0, 0.05, 40)
    made = deflated_sharpe(daily, trials)
    normal, euler, count = NormalDist(), 0.5772156649, len(trials)
    lucky = trials.std(ddof=1) * (
        (1 - euler) * normal.inv_cdf(1 - 1 / count) + euler * normal.inv_cdf(1 - 1 / (count * np.e))
    )
    ratio = daily.mean() / daily.std()
    z = (daily - daily.mean()) / daily.std()
    width = np.sqrt(1 - (z**3).mean() * ratio + ((z**4).mean() - 1) / 4 * ratio**2)
    assert made.lucky == pytest.approx(lucky, rel=1e-6)
    neighbours = max(np.corrcoef(daily[1:], daily[:-1])[0, 1], 0)
    days = 249 / (1 + 2 * neighbours)
    assert made.probability == pytest.approx(normal.cdf((ratio - lucky) * np.sqrt(days) / width), rel=1e-2)
    assert made.trials == 40


def test_days_that_share_their_labels_count_for_fewer():
    draw = np.random.default_rng(10)
    raw = draw.normal(size=401)
    shared, trials = raw[1:] + raw[:-1], draw.normal(0, 0.01, 10)
    shared += 0.15 - shared.mean()
    apart = draw.permutation(shared)
    sure, surer = (deflated_sharpe(one, trials) for one in (shared, apart))
    assert sure.sharpe == pytest.approx(surer.sharpe) and sure.sharpe > sure.lucky
    assert sure.probability < surer.probability


def test_the_luckiest_of_many_without_skill_is_seldom_believed():
    draw = np.random.default_rng(11)
    believed = 0
    for _ in range(40):
        days = noise(draw, 20, 24 * 120).reshape(120, 24, 20).mean(axis=1)
        ratios = sharpes(days)
        believed += deflated_sharpe(days[:, np.argmax(ratios)], ratios).probability > 0.95
    assert believed <= 4


def test_more_trials_deflate_more():
    draw = np.random.default_rng(6)
    daily, trials = draw.normal(0.001, 0.01, 250), draw.normal(0, 0.05, 400)
    assert deflated_sharpe(daily, trials).probability < deflated_sharpe(daily, trials[:10]).probability


def test_the_overfitting_probability_is_the_formula():
    daily = np.random.default_rng(7).normal(size=(60, 12))
    blocks = np.array_split(np.arange(60), CSCV_BLOCKS)
    below = []
    for chosen in combinations(range(CSCV_BLOCKS), CSCV_BLOCKS // 2):
        inside = np.concatenate([blocks[one] for one in chosen])
        outside = np.setdiff1d(np.arange(60), inside)
        best = np.argmax(sharpes(daily[inside]))
        later = sharpes(daily[outside])
        below.append((later < later[best]).sum() + 1 <= 6.5)
    assert overfitting_probability(daily) == pytest.approx(np.mean(below), abs=0.02)


def test_choosing_among_noise_overfits_and_choosing_true_skill_does_not():
    draw = np.random.default_rng(8)
    noisy = draw.normal(size=(200, 10))
    skilled = noisy + 0.5 * (np.arange(10) == 3)
    assert 0.15 < np.mean([overfitting_probability(draw.normal(size=(60, 10))) for _ in range(4)]) < 0.85
    assert overfitting_probability(skilled) < 0.1
    assert overfitting_probability(noisy[:10]) is None
    assert overfitting_probability(np.ones((80, 4))) is None


def test_the_no_skill_interval_holds_nine_in_ten():
    draw = np.random.default_rng(9)
    low, high = no_skill_precision(0.53, 400)
    precisions = draw.binomial(400, 0.53, 4000) / 400
    assert 0.87 < np.mean((precisions >= low) & (precisions <= high)) < 0.93
    assert no_skill_precision(0.5, 0) == (0.0, 1.0)

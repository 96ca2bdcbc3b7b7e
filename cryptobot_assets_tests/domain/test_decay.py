"""Decay: a planted change is found, an unchanged market seldom raises an alarm."""

from __future__ import annotations

import numpy as np

from cryptobot_assets.domain.decay import ALARM, FIRST_DAYS, error_change, feature_change

DAYS = 200


def draw_errors(seed: int, *, turns: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Daily errors of ten currencies with fat tails and a common factor; from a day on predictions are noise."""
    random = np.random.default_rng(seed)
    returns = 0.02 * (random.standard_t(4, (DAYS, 1)) + random.standard_t(4, (DAYS, 10)))
    noise = np.where(np.arange(DAYS) < (DAYS if turns is None else turns), 0.006, 0.03)[:, None]
    predicted = random.normal(size=(DAYS, 10)) * noise
    return ((returns - predicted) ** 2).mean(axis=1), (returns**2).mean(axis=1)


def test_predictions_that_turn_to_noise_are_found_after_they_do() -> None:
    for seed in range(10):
        found = error_change(*draw_errors(seed, turns=100))
        assert found.worsened and found.after > found.before
        assert found.page_hinkley >= 100


def test_an_unchanged_market_raises_no_alarm_in_forty_half_years() -> None:
    alarms = [error_change(*draw_errors(seed)).worsened for seed in range(40)]
    assert sum(alarms) <= 2


def test_errors_that_only_get_smaller_are_no_decay() -> None:
    errors, zeros = draw_errors(3, turns=100)
    assert not error_change(errors[::-1].copy(), zeros[::-1].copy()).worsened


def test_nothing_is_told_of_the_first_month() -> None:
    errors, zeros = draw_errors(0)
    assert error_change(errors[:FIRST_DAYS], zeros[:FIRST_DAYS]) is None


def stretches(random: np.random.Generator, count: int) -> list[np.ndarray]:
    """Stretches of 60 rows of two features whose level wanders from one stretch to the next."""
    return [random.normal(random.normal(0, 0.5, 2), 1.0, (60, 2)) for _ in range(count)]


def test_a_planted_shift_of_a_feature_is_found_and_named() -> None:
    random = np.random.default_rng(0)
    *past, newest = stretches(random, 25)
    found = feature_change(("calm", "moved"), past, newest + np.array([0.0, 4.0]))
    assert found.changed and found.p == 1 / 25
    assert found.shifts[0].feature == "moved" and found.shifts[0].distance > 0.8


def test_an_unchanged_market_is_called_changed_no_oftener_than_it_may_be() -> None:
    alarms = [
        feature_change(("a", "b"), past, newest).p <= ALARM
        for *past, newest in (stretches(np.random.default_rng(seed), 25) for seed in range(60))
    ]
    assert sum(alarms) <= 60 * ALARM + 4, "wandering levels are usual here: an index of a month is no alarm by itself"


def test_too_few_stretches_can_raise_no_alarm() -> None:
    *past, newest = stretches(np.random.default_rng(1), 11)
    assert not feature_change(("a", "b"), past, newest + 9.0).changed
    assert feature_change(("a", "b"), past[:1], newest) is None

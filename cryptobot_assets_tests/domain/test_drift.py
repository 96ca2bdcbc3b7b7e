"""Drift: nothing in rows of the same kind, much in shifted ones, and a usual range from the training rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cryptobot_assets.domain.drift import LEAST_SHARE, feature_drifts, stability_index

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-01-01T00:00:00", "us")


def times(count: int, after: int = 0) -> np.ndarray:
    return START + (np.arange(count) + after) * HOUR


def test_the_index_is_the_sum_over_tenths() -> None:
    trained = np.arange(1000.0)
    assert stability_index(trained, trained) == pytest.approx(0.0, abs=1e-12)
    half = stability_index(trained, np.arange(500.0))
    expected = 5 * (0.2 - 0.1) * math.log(2) + 5 * (LEAST_SHARE - 0.1) * math.log(LEAST_SHARE / 0.1)
    assert half == pytest.approx(expected, rel=0.02)


def test_a_constant_feature_does_not_drift_until_it_changes() -> None:
    assert stability_index(np.ones(50), np.ones(20)) == 0.0
    assert stability_index(np.ones(50), np.zeros(20)) > 5


def test_only_the_shifted_feature_is_beyond_its_usual_range() -> None:
    draw = np.random.default_rng(0)
    trained, recent = draw.normal(size=(2400, 2)), draw.normal(size=(240, 2))
    recent[:, 1] += 1.0
    found = feature_drifts(("calm", "moved"), trained, times(2400), recent, times(240, 2400))
    assert [one.feature for one in found] == ["moved", "calm"]
    assert found[0].drifted and found[0].index > 0.5
    assert not found[1].drifted or found[1].index < 0.2


def test_what_wanders_in_training_too_is_not_called_drift() -> None:
    draw = np.random.default_rng(1)
    walk = np.cumsum(draw.normal(size=3000))
    found = feature_drifts(("walk",), walk[:2700, None], times(2700), walk[2700:, None], times(300, 2700))
    assert found[0].index > 0.25, "a rule of thumb would call it a shift"
    assert found[0].usual > 0.25


def test_too_few_training_rows_tell_no_usual_range() -> None:
    draw = np.random.default_rng(2)
    found = feature_drifts(("one",), draw.normal(size=(100, 1)), times(100), draw.normal(size=(90, 1)), times(90, 100))
    assert found[0].usual is None and not found[0].drifted
    assert feature_drifts(("one",), np.empty((0, 1)), times(0), np.ones((3, 1)), times(3)) == []

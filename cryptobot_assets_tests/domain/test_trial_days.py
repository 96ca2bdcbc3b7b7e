"""Daily skill of trials: that of promotion, zero where there is none, and what so many tries leave of a record."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.domain.metrics import hourly_ic
from cryptobot_assets.domain.significance import sharpes
from cryptobot_assets.domain.trial_days import as_json, chosen_by_luck, daily, overfitting, trial_days

DAYS, CURRENCIES = 40, 6


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Currency, time and target at every half hour."""
    half_hours = np.datetime64("2024-01-01", "us") + np.arange(DAYS * 48) * np.timedelta64(30, "m")
    names = np.array([f"C{n}" for n in range(CURRENCIES)], dtype=object)
    target = np.random.default_rng(0).normal(0, 0.03, DAYS * 48 * CURRENCIES)
    return np.tile(names, len(half_hours)), np.repeat(half_hours, CURRENCIES), target


def made_of(rows: tuple[np.ndarray, np.ndarray, np.ndarray], *, effects: list[float], seed: int = 1) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    predicted = [effect * rows[2] + draw.normal(0, 0.03, len(rows[2])) for effect in effects]
    return trial_days(*rows, [*predicted, np.zeros(len(rows[2]))], "1h")


def test_a_days_skill_is_the_mean_of_its_hourly_ics(rows):
    made = made_of(rows, effects=[0.5])
    assert made.columns == ["day", "trial_0", "trial_1"]
    assert made.height == DAYS
    predicted = 0.5 * rows[2] + np.random.default_rng(1).normal(0, 0.03, len(rows[2]))
    frame = pl.DataFrame({"time": rows[1], "predicted_return": predicted, "realised_return": rows[2]})
    whole = frame.filter((pl.col("time").dt.minute() == 0) & (pl.col("time").dt.date() == made["day"][3]))
    assert made["trial_0"][3] == pytest.approx(hourly_ic(whole)["ic"].mean(), abs=1e-6)
    assert (made["trial_1"] == 0).all(), "a constant tells no currency from another"


def test_a_record_is_told_beside_the_luckiest_trial(rows):
    noise = [made_of(rows, effects=[0.0] * 5, seed=seed) for seed in (1, 2, 3)]
    skilled = made_of(rows, effects=[0.2], seed=9)
    skill = skilled.select(pl.col("day").cast(pl.Datetime("us")).alias("time"), pl.col("trial_0").alias("skill"))
    found = overfitting(skill, noise, noise[:1])
    assert found.trials == 15, "the constants, which never vary, are no try at skill"
    assert found.sharpe == pytest.approx(sharpes(daily(skill).select("skill").to_numpy())[0])
    assert found.lucky_sharpe < found.sharpe
    assert found.deflated_sharpe > 0.95
    assert found.pbo == chosen_by_luck(noise[:1])
    assert as_json(found).keys() == {"deflated_sharpe", "sharpe", "lucky_sharpe", "trials", "pbo"}
    assert "luckiest of 15 trials" in found.told("ridge")


def test_too_few_days_say_nothing(rows):
    few = made_of(rows, effects=[0.0, 0.0]).head(5)
    skill = few.select(pl.col("day").cast(pl.Datetime("us")).alias("time"), pl.col("trial_0").alias("skill"))
    assert overfitting(skill, [few], [few]) is None
    assert overfitting(skill, [], []) is None
    assert chosen_by_luck([few]) is None


def test_trials_of_several_algorithms_are_compared_on_their_common_days(rows):
    one, other = made_of(rows, effects=[0.0, 0.3]), made_of(rows, effects=[0.0], seed=2).tail(30)
    assert chosen_by_luck([one, other]) == pytest.approx(0.0, abs=0.05)
    noisy = [made_of(rows, effects=[0.0] * 8, seed=seed) for seed in range(4, 7)]
    assert chosen_by_luck(noisy) > 0.1

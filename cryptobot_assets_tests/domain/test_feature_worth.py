"""Groups of features: what helps is found, what is noise is not, and the interval says which is which."""

from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.domain.feature_worth import feature_groups, group_worths, told_worth, worth_row
from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.relative import RELATIVE_FEATURES

ROWS, DAYS = 2400, 50
GROUPS = {"useful": [0, 1], "noise": [2], "harmful": [3]}


@pytest.fixture(scope="module")
def found() -> dict:
    """A target of two columns and noise; the model also trusts a third that says nothing."""
    random = np.random.default_rng(0)
    X = random.normal(size=(ROWS, 4))
    target = X[:, 0] + X[:, 1] + random.normal(size=ROWS)
    time = np.datetime64("2025-01-01", "us") + np.arange(ROWS) * np.timedelta64(DAYS * 24 * 60 // ROWS, "m")

    def predict(rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] + rows[:, 1] + 0.3 * rows[:, 3] * rows[:, 0]

    made = group_worths(predict, X, target, time, GROUPS, seed=1, draws=200)
    assert made[0].group == "useful"
    return {one.group: one for one in made}


def test_a_group_that_helps_is_worth_what_it_explains(found: dict) -> None:
    useful = found["useful"]
    assert useful.features == 2
    assert useful.gain == pytest.approx(4 / 3, rel=0.15), "twice its variance of two, of a variance of three"
    assert useful.ci[0] < useful.gain < useful.ci[1] and useful.ci[0] > 0.5


def test_a_group_that_is_not_read_is_worth_nothing(found: dict) -> None:
    noise = found["noise"]
    assert noise.gain == pytest.approx(0.0, abs=1e-12) and noise.ci == pytest.approx((0.0, 0.0), abs=1e-12)


def test_a_group_that_is_trusted_in_vain_is_not_worth_anything(found: dict) -> None:
    assert abs(found["harmful"].gain) < 0.02 and found["harmful"].ci[0] < 0 < found["harmful"].ci[1]


def test_every_feature_is_of_one_group() -> None:
    for features in (DEFAULT_FEATURES, RELATIVE_FEATURES):
        groups = feature_groups(features)
        assert sorted(column for columns in groups.values() for column in columns) == list(range(len(features)))
    assert set(feature_groups(DEFAULT_FEATURES)) == {
        "scaled close", "moving averages", "lags up to a week", "longer lags",
    }  # fmt: skip
    assert {"ranks: return", "ranks: volatility", "ranks: traded"} <= set(feature_groups(RELATIVE_FEATURES))
    assert set(feature_groups(["macd_12_26_9h", "rsi_14h", "ma7_25h"])) == {"oscillators", "moving averages"}


def test_it_is_told_with_its_interval(found: dict) -> None:
    row = worth_row(found["useful"])
    assert (row["group"], row["features"], len(row["ci"])) == ("useful", 2, 2)
    assert told_worth(found["useful"]).startswith(f"{found['useful'].gain:+.2%} (")

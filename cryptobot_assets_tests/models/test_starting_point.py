"""Where a tuning begins: with values that fit its space, before its defaults."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cryptobot_assets.contracts.models import make_returns, make_training_rows
from cryptobot_assets.models.base import Choice, Range
from cryptobot_assets.models.starting_point import NOWHERE, StartingPoint
from cryptobot_assets.models.tuning import tune
from cryptobot_assets_tests.models.test_tuning import Scripted

SPACE = {"level": Range(-1.0, 1.0, default=0.25), "trees": Range(1, 9, default=3), "way": Choice(("up", "down"), "up")}
ROWS = make_training_rows(*make_returns(rows=300))
FOLDS = [(np.arange(150), np.arange(180, 300))]


def test_values_that_fit_are_kept_and_the_rest_is_told() -> None:
    tuned = {"level": 1, "trees": 12, "way": "sideways", "gone": 0.5}
    start = StartingPoint.of(SPACE, tuned, "models:/m/1")
    assert start.values == {"level": 1, "trees": 3, "way": "up"}
    assert start.left_out == {"trees": 12, "way": "sideways", "gone": 0.5}
    assert StartingPoint.from_json(json.loads(json.dumps(start.to_json()))) == start


@pytest.mark.parametrize(
    ("name", "value"), [("level", 1.01), ("level", "0.5"), ("trees", 2.0), ("trees", True), ("way", 1)]
)
def test_values_of_another_kind_or_beyond_an_end_do_not_fit(name: str, value: object) -> None:
    assert not SPACE[name].holds(value)
    assert not StartingPoint.of(SPACE, {name: value}).values


def test_a_search_begins_there_then_tries_its_defaults_and_counts_both() -> None:
    started = tune(Scripted(lambda level: level), ROWS, FOLDS, trials=4, seed=0, first=values(0.75))
    plain = tune(Scripted(lambda level: level), ROWS, FOLDS, trials=4, seed=0, first=NOWHERE.values)
    assert [trial.params["level"] for trial in started.trials[:2]] == [0.75, 0.25]
    assert plain.trials[0].params["level"] == 0.25
    assert [trial.number for trial in started.trials] == [0, 1, 2, 3]


def test_defaults_are_not_tried_twice() -> None:
    levels = [
        one.params["level"]
        for one in tune(Scripted(lambda level: level), ROWS, FOLDS, trials=3, seed=0, first=values(0.25)).trials
    ]
    assert levels.count(0.25) == 1


def values(level: float) -> dict[str, float | str]:
    return {"level": level, "target_clip": 0.0, "weighting": "equal"}

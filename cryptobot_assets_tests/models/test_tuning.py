from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from cryptobot_assets.contracts.models import LEARNERS, default_params, make_returns, make_training_rows
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import Range, TrialRecord
from cryptobot_assets.models.tuning import TuningFailed, tune

ROWS = make_training_rows(*make_returns())


def make_folds(rows: int = 1_500) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two walk-forward folds of unequal test spans, 24 rows purged before each."""
    return [
        (np.arange(0, 576), np.arange(600, 1_000)),
        (np.arange(0, 976), np.arange(1_000, rows)),
    ]


@dataclass(frozen=True)
class Constant:
    value: float

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.full(len(X), self.value)


@dataclass
class Scripted:
    """An algorithm whose fit does as told and remembers what it was shown."""

    act: Callable[[float], float]
    name: str = "scripted"
    space: dict[str, Range] = field(default_factory=lambda: {"level": Range(-1.0, 1.0, default=0.25)})
    shown: list[np.ndarray] = field(default_factory=list)

    def fit(self, X: np.ndarray, y: np.ndarray, *, params: dict, **options: object) -> Constant:
        self.shown.append(X)
        return Constant(self.act(params["level"]))


@pytest.mark.parametrize("name", LEARNERS)
def test_it_beats_predicting_zero_on_a_planted_effect(name: str) -> None:
    X, y = make_returns()
    told: list[TrialRecord] = []
    result = tune(ALGORITHMS[name], make_training_rows(X, y), make_folds(), trials=4, seed=1, on_trial=told.append)
    zero = np.mean(y[600:] ** 2)
    assert result.best_value < 0.985 * zero
    assert result.trials == tuple(told)
    assert [trial.number for trial in told] == [0, 1, 2, 3]
    assert all(trial.state == "complete" and len(trial.fold_values) == 2 for trial in told)
    assert told[0].params == default_params(name) | {"target_clip": 0.0, "weighting": "equal"}
    assert result.best_value == min(trial.value for trial in told)


def test_a_seed_repeats_the_whole_study() -> None:
    first, second, other = (
        tune(ALGORITHMS["elasticnet"], ROWS, make_folds(), trials=8, seed=seed) for seed in (5, 5, 6)
    )
    assert [(t.params, t.value) for t in first.trials] == [(t.params, t.value) for t in second.trials]
    assert [t.params for t in first.trials] != [t.params for t in other.trials]


def test_folds_count_by_their_test_rows() -> None:
    X, y = make_returns()
    trial = tune(Scripted(lambda level: level), make_training_rows(X, y), make_folds(), trials=1, seed=0).trials[0]
    errors = (0.25 - y) ** 2
    assert trial.fold_values == pytest.approx((errors[600:1_000].mean(), errors[1_000:].mean()))
    assert trial.value == pytest.approx(errors[600:].mean())


def test_a_fit_sees_its_training_rows_only() -> None:
    X, y = make_returns()
    scripted = Scripted(lambda level: level)
    tune(scripted, make_training_rows(X, y), make_folds(), trials=1, seed=0)
    first, second = sorted(scripted.shown, key=len)
    np.testing.assert_array_equal(first, X[:576])
    np.testing.assert_array_equal(second, X[:976])


@pytest.mark.parametrize("name", LEARNERS)
def test_changing_later_rows_changes_no_earlier_fold(name: str) -> None:
    X, y = make_returns()
    X_changed, y_changed = X.copy(), y.copy()
    X_changed[1_000:] *= 50
    y_changed[1_000:] += 1
    first, second = (
        tune(ALGORITHMS[name], make_training_rows(*rows), make_folds(), trials=1, seed=2).trials[0].fold_values
        for rows in ((X, y), (X_changed, y_changed))
    )
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_a_failing_trial_is_recorded_and_the_study_goes_on() -> None:
    def act(level: float) -> float:
        if level > 0.2:
            raise ArithmeticError("diverged")
        return np.nan if level < -0.9 else level

    X, y = make_returns()
    told: list[TrialRecord] = []
    result = tune(Scripted(act), make_training_rows(X, y), make_folds(), trials=12, seed=0, on_trial=told.append)
    assert (told[0].state, told[0].value, told[0].error) == ("failed", None, "ArithmeticError: diverged")
    assert len(told) == 12
    assert result.best_params["level"] <= 0.2


def test_no_finished_trial_says_why() -> None:
    told: list[TrialRecord] = []
    with pytest.raises(TuningFailed, match=r"no tuning trial of scripted finished out of 3: .*not finite"):
        tune(
            Scripted(lambda level: np.inf),
            ROWS,
            make_folds(),
            trials=3,
            seed=0,
            on_trial=told.append,
        )
    assert [trial.state for trial in told] == ["failed"] * 3


@pytest.mark.parametrize("folds", [[], [(np.arange(0), np.arange(5))], [(np.arange(5), np.arange(0))]])
def test_empty_folds_are_refused(folds: list[tuple[np.ndarray, np.ndarray]]) -> None:
    with pytest.raises(NotEnoughHistory, match="ingest more days or ask for fewer folds"):
        tune(ALGORITHMS["ridge"], ROWS, folds, trials=1, seed=0)


def test_a_told_interrupt_ends_the_study() -> None:
    def interrupt(trial: TrialRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(ALGORITHMS["ridge"], ROWS, make_folds(), trials=3, seed=0, on_trial=interrupt)

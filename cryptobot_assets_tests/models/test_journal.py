"""A tuning that is killed goes on from its finished trials and ends as if it had not been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryptobot_assets.contracts.models import make_returns, make_training_rows
from cryptobot_assets.models import tuning
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import TrialRecord
from cryptobot_assets.models.journal import TrialJournal
from cryptobot_assets.models.tuning import tune

ROWS = make_training_rows(*make_returns())
FOLDS = [(np.arange(0, 576), np.arange(600, 1_000)), (np.arange(0, 976), np.arange(1_000, 1_500))]
TRIALS = 12
KILLED_AFTER = 8


def told(trials: tuple[TrialRecord, ...]) -> list[tuple[object, ...]]:
    """All of each trial but how long it took."""
    return [(one.number, one.params, one.value, one.fold_values, one.state, one.predicted.tolist()) for one in trials]


def test_a_killed_tuning_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ridge, journal = ALGORITHMS["ridge"], TrialJournal(tmp_path / "study")
    whole = tune(ridge, ROWS, FOLDS, trials=TRIALS, seed=3)

    def kill(trial: TrialRecord) -> None:
        journal.write(trial)
        if trial.number == KILLED_AFTER - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(ridge, ROWS, FOLDS, trials=TRIALS, seed=3, on_trial=kill)
    tried: list[int] = []
    attempt = tuning._attempt
    monkeypatch.setattr(
        tuning, "_attempt", lambda *a, number, **k: tried.append(number) or attempt(*a, number=number, **k)
    )
    again: list[TrialRecord] = []
    resumed = tune(ridge, ROWS, FOLDS, trials=TRIALS, seed=3, on_trial=again.append, done=journal.read())
    assert tried == list(range(KILLED_AFTER, TRIALS))
    assert told(resumed.trials) == told(whole.trials) == told(tuple(again))
    assert resumed.best_params == whole.best_params
    assert tune(ridge, ROWS, FOLDS, trials=2, seed=4, done=journal.read()).trials[1].params != whole.trials[1].params


def test_what_is_damaged_is_done_again(tmp_path: Path) -> None:
    journal = TrialJournal(tmp_path / "study")
    assert journal.read() == []
    fine = TrialRecord(
        number=0, params={"alpha": 0.1 + 0.2, "trees": 3, "weighting": "equal"}, value=1 / 3, fold_values=(0.1, 0.7),
        seconds=1.5, state="complete", predicted=np.array([1 / 3, -0.0]),
    )  # fmt: skip
    failed = TrialRecord(
        number=1, params={"alpha": 2.0}, value=None, fold_values=(), seconds=0.1, state="failed", error="ValueError: no"
    )
    for number, record in enumerate((fine, failed, fine)):
        journal.write(TrialRecord(**vars(record) | {"number": number}))
    first, second, _ = journal.read()
    assert (first, second) == (fine, failed)
    assert first.predicted.tobytes() == fine.predicted.tobytes()
    path = tmp_path / "study" / "trial-00001.npz"
    path.write_bytes(path.read_bytes()[:60])
    assert journal.read() == [fine]
    path.write_bytes(b"")
    assert journal.read() == [fine]
    journal.clear()
    assert not (tmp_path / "study").exists()

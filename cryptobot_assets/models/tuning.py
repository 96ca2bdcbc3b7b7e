"""Tuning by walk-forward error: the one home of Optuna.

    fold 1   train ======|purge|test ---
    fold 2   train ==========|purge|test ---
    fold 3   train ==============|purge|test ---        time ->

The folds come purged from the caller. Each trial fits on every fold's training rows alone, and
its value is the squared error summed over all test rows divided by their number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from threadpoolctl import threadpool_limits

from cryptobot_assets.errors import CryptobotError, NotEnoughHistory, ProcessError, UsageError
from cryptobot_assets.models.base import Algorithm, Params, TrialRecord, Value, defaults, suggest
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared, search_space

FIRST_RANDOM_TRIALS = 6
EMPTY: Params = MappingProxyType({})


class TuningFailed(CryptobotError):
    """No trial of a study finished; the message carries the last trial's reason."""


@dataclass(frozen=True)
class TuningResult:
    """The best finished trial and all trials in order."""

    best_params: dict[str, Value]
    best_value: float
    trials: tuple[TrialRecord, ...]


@dataclass(frozen=True)
class Split:
    """One fold's rows, cut once for all trials."""

    train: TrainingRows
    test: TrainingRows


PredictFolds = Callable[[Params, Sequence[Split], int], list[np.ndarray]]
"""Fits on each fold's training rows with these values and this seed, and predicts each fold's test rows."""


def tune(
    algorithm: Algorithm,
    rows: TrainingRows,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    trials: int,
    seed: int,
    on_trial: Callable[[TrialRecord], None] = lambda trial: None,
    done: Sequence[TrialRecord] = (),
    first: Params = EMPTY,
    elsewhere: PredictFolds | None = None,
) -> TuningResult:
    """Search the algorithm's space with a seeded TPE sampler, its defaults first, or right after `first`.

    Args:
        algorithm: what to tune.
        rows: to learn from and to test on; the choices of preparation are searched too.
        folds: (train rows, test rows) as integer positions, purged.
        trials: how many parameter sets to try, failed ones counted.
        seed: of the sampler and of every fit.
        on_trial: told of each trial as it ends, so that an interrupted study leaves its trials.
        done: trials of the same study that ended before it was interrupted, in order; they are told
            of again and not done again, and the result is that of a study that was never interrupted.
        first: values of the whole space to begin with; none for the defaults.
        elsewhere: what fits and predicts in place of this process, to the same bits; the last trial is
            always done here, so that whoever watches `algorithm` sees how it is fitted.

    Raises:
        NotEnoughHistory: there is no fold, or one lacks training or test rows.
        TuningFailed: no trial finished.
        ProcessError: `elsewhere` is gone.
        UsageError: `elsewhere` refused the work.
    """
    if not folds or any(len(train) == 0 or len(test) == 0 for train, test in folds):
        raise NotEnoughHistory("a fold has no rows to train or test on: ingest more days or ask for fewer folds")
    splits = [Split(rows.take(train), rows.take(test)) for train, test in folds]
    space = search_space(algorithm, rows.features)
    import optuna  # only whoever tunes waits for it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST_RANDOM_TRIALS)
    )
    for params in [dict(first), defaults(space)] if first else [defaults(space)]:
        study.enqueue_trial(params, skip_if_exists=True)
    records, here = [], partial(predict_folds, algorithm)
    for number in range(trials):
        trial = study.ask()
        params = suggest(space, trial)
        if number < len(done) and done[number].params == params:
            record = done[number]
        else:
            predict = elsewhere if elsewhere and number < trials - 1 else here
            done, record = (), _attempt(predict, params, splits, number=number, seed=seed)
        if record.value is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, record.value)
        records.append(record)
        on_trial(record)
    return _best(algorithm.name, records)


def _attempt(predict: PredictFolds, params: Params, splits: Sequence[Split], *, number: int, seed: int) -> TrialRecord:
    """One trial; whatever a library raises is its reason for failing and does not end the study."""
    started = time.perf_counter()
    try:
        predicted = predict(params, splits, seed)
    except (ProcessError, UsageError):
        raise
    except Exception as error:  # noqa: BLE001 a trial whose library fails, in whatever way, is a failed trial
        return TrialRecord(
            number=number,
            params=dict(params),
            value=None,
            fold_values=(),
            seconds=time.perf_counter() - started,
            state="failed",
            error=f"{type(error).__name__}: {error}",
        )
    errors = [(one - split.test.target) ** 2 for one, split in zip(predicted, splits, strict=True)]
    return TrialRecord(
        number=number,
        params=dict(params),
        value=float(np.concatenate(errors).mean()),
        fold_values=tuple(float(fold.mean()) for fold in errors),
        seconds=time.perf_counter() - started,
        state="complete",
        predicted=np.concatenate(predicted),
    )


def predict_folds(algorithm: Algorithm, params: Params, splits: Sequence[Split], seed: int) -> list[np.ndarray]:
    """Predictions of each fold's test rows, folds side by side and each on one thread.

    The libraries let go of the interpreter while they fit. Small fits gain more from standing side
    by side than from threads of their own, and their results do not depend on the machine's cores.
    The last fold has the most rows and starts first.
    """
    with ThreadPoolExecutor(min(len(splits), os.cpu_count() or 1)) as pool, threadpool_limits(1, user_api="blas"):
        futures = [pool.submit(predict_fold, algorithm, split, params, seed) for split in reversed(splits)]
        return [future.result() for future in reversed(futures)]


def predict_fold(algorithm: Algorithm, split: Split, params: Params, seed: int) -> np.ndarray:
    """Predictions of one fold's test rows; raises `FloatingPointError` where they are not finite."""
    predicted = fit_prepared(algorithm, split.train, params=params, seed=seed).predict(split.test.X)
    if not np.isfinite((predicted - split.test.target) ** 2).all():
        raise FloatingPointError("predictions are not finite")
    return predicted


def _best(name: str, records: Sequence[TrialRecord]) -> TuningResult:
    finished = [(record.value, place) for place, record in enumerate(records) if record.value is not None]
    if not finished:
        reason = records[-1].error if records else "none was asked for"
        raise TuningFailed(f"no tuning trial of {name} finished out of {len(records)}: {reason}")
    value, place = min(finished)
    return TuningResult(records[place].params, value, tuple(records))

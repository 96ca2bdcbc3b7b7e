"""One training: tune, fit, look at what the fits were handed, register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import dagster as dg
import numpy as np
import polars as pl

from cryptobot_assets.assets.links import registry_page
from cryptobot_assets.assets.pictures import as_markdown, importance_picture, trial_picture
from cryptobot_assets.assets.second_look import second_look
from cryptobot_assets.assets.spread_tuning import folds_elsewhere
from cryptobot_assets.assets.training_set import TrainingSet, evenly
from cryptobot_assets.checks.training import TrainingChecks
from cryptobot_assets.domain.conformal import residual_bounds
from cryptobot_assets.domain.labels import HORIZON, HORIZON_HOURS, PREDICTION_DEFINITION
from cryptobot_assets.domain.splits import walk_forward
from cryptobot_assets.domain.trial_days import trial_days
from cryptobot_assets.errors import LeakFound
from cryptobot_assets.models.algorithms import ALGORITHMS, trials_of
from cryptobot_assets.models.base import Algorithm, FittedModel, Params, TrialRecord
from cryptobot_assets.models.card import HIGH, LOW, ModelCard, warmup
from cryptobot_assets.models.ensemble import narrowed
from cryptobot_assets.models.journal import TrialJournal
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared
from cryptobot_assets.models.tuning import TuningResult, tune
from cryptobot_assets.models.witness import Witness
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry_records import RegisteredVersion, Training
from cryptobot_assets.storage.trial_history import TRIAL_DAYS

WARMUP_ROWS = 8
FIT_THREADS = 2


class Run(Protocol):
    """Where one training is told of: MLflow, or nowhere while it is rehearsed."""

    def log_trial(self, trial: TrialRecord) -> None:
        """See `TrainingRun.log_trial`."""

    def finish(
        self,
        model: FittedModel,
        card: ModelCard,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float | None],
        plots: Mapping[str, bytes],
        tables: Mapping[str, Any],
    ) -> RegisteredVersion:
        """See `TrainingRun.finish`."""
        ...


class Runs(Protocol):
    """What trainings are told to: a registry, or what stands where one does."""

    def training_run(self, training: Training) -> AbstractContextManager[Run]:
        """See `Registry.training_run`."""
        ...


def train(
    training: Training,
    training_set: TrainingSet,
    settings: Settings,
    registry: Runs,
    progress: Progress,
    checks: TrainingChecks,
) -> dict[str, Any]:
    """Tune, fit, check what the fits were handed, register; returns what came of it, as metadata.

    Raises:
        LeakFound: a check does not hold; nothing is registered.
    """
    fitted = narrowed(ALGORITHMS[training.algorithm], training.start.values)
    algorithm = Witness(fitted, training_set.samples.X, training_set.target)
    kept = evenly(len(training_set.samples), settings.max_tuning_rows)
    rows, realised = training_set.rows.take(kept), training_set.samples.y[kept]
    folds = [(fold.train, fold.test) for fold in walk_forward(rows.time, folds=settings.folds, horizon=HORIZON)]
    journal = TrialJournal(settings.home / "tuning" / training.fingerprint)
    trials = trials_of(training.algorithm, settings.trials)
    with registry.training_run(training) as run:

        def on_trial(trial: TrialRecord) -> None:
            journal.write(trial)
            run.log_trial(trial)
            progress.advance("tune", steps=settings.trials / trials, note=training.algorithm)

        # The last trial is done anew, so that the checks see how tuning fits.
        with folds_elsewhere(settings, fitted) as elsewhere:
            tuned = tune(
                algorithm, rows, folds, trials=trials, seed=settings.seed, first=training.start.values,
                on_trial=on_trial, done=journal.read()[:-1], elsewhere=elsewhere,
            )  # fmt: skip
        final = training_set.rows.take(evenly(len(training_set.samples), settings.max_training_rows))
        model = fit_prepared(algorithm, final, params=tuned.best_params, seed=settings.seed, threads=FIT_THREADS)
        residuals = out_of_fold_residuals(algorithm, rows, realised, folds, tuned.best_params, settings.seed)
        importance = model.importance(final.features)
        pictures = pictures_of(training, tuned, importance)
        again = second_look(algorithm, training_set, tuned.best_params, settings, checks)
        checks.look_at(algorithm)
        if not checks.passed:
            journal.clear()
            raise LeakFound(f"{training.algorithm} for {training.market} is not registered: {checks.told()}")
        version = run.finish(
            model,
            _card(training, settings, final, residuals, warmup(model, final.X[-WARMUP_ROWS:])),
            params=tuned.best_params,
            metrics={
                "cv_mse": tuned.best_value,
                "cv_mse_zero": float(np.mean(np.concatenate([rows.target[test] for _, test in folds]) ** 2)),
                "training_rows": len(final),
                **again,
            },
            plots=pictures,
            tables={
                "importance.json": importance,
                TRIAL_DAYS: days_of(tuned, rows.take(np.concatenate([test for _, test in folds])), settings.interval),
            },
        )
    journal.clear()
    return {
        **registered(version, settings),
        "cv_mse": tuned.best_value,
        "training_rows": len(final),
        **{name: value for name, value in again.items() if value is not None},
        "rows_lacking_a_feature": training_set.dropped,
        "best_params": dg.MetadataValue.json(dict(tuned.best_params)),
        **{name.removesuffix(".png"): dg.MetadataValue.md(as_markdown(png, name)) for name, png in pictures.items()},
    }


def out_of_fold_residuals(
    algorithm: Algorithm,
    rows: TrainingRows,
    realised: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    params: Params,
    seed: int,
) -> np.ndarray:
    """Realised minus predicted return of every fold's test rows, each by a model that never saw them."""
    parts = []
    for train_rows, test_rows in folds:
        fitted = fit_prepared(algorithm, rows.take(train_rows), params=params, seed=seed)
        parts.append(realised[test_rows] - fitted.predict(rows.X[test_rows]))
    return np.concatenate(parts)


def days_of(tuned: TuningResult, tested: TrainingRows, interval: str) -> pl.DataFrame:
    """The daily skill of every finished trial on the rows that tested the folds, in the folds' order."""
    predicted = [one.predicted for one in tuned.trials if one.predicted is not None]
    return trial_days(tested.currency, tested.time, tested.target, predicted, interval)


def pictures_of(training: Training, tuned: TuningResult, importance: dict[str, float]) -> dict[str, bytes]:
    """Trial history and feature importance, PNG by file name."""
    label = f"{training.market} {training.algorithm} as of {training.cutoff:%Y-%m-%d}"
    values = [np.nan if trial.value is None else trial.value for trial in tuned.trials]
    return {
        "trials.png": trial_picture(values, f"{label}: tuning"),
        "importance.png": importance_picture(importance, f"{label}: features"),
    }


def _card(
    training: Training, settings: Settings, final: TrainingRows, residuals: np.ndarray, remembered: dict[str, Any]
) -> ModelCard:
    return ModelCard(
        algorithm=training.algorithm,
        market=training.market,
        cutoff=training.cutoff,
        interval=settings.interval,
        features=final.features,
        horizon_hours=HORIZON_HOURS,
        prediction=PREDICTION_DEFINITION,
        residual_quantiles=dict(zip((LOW, HIGH), residual_bounds(residuals), strict=True)),
        **remembered,
    )


def registered(version: RegisteredVersion, settings: Settings) -> dict[str, str | dg.MetadataValue]:
    """Where a version is found, as metadata."""
    return {
        "registered_model": version.name,
        "version": version.version,
        "mlflow": registry_page(settings, version),
        "mlflow_run": version.run_id,
    }

"""The tuned models, one asset each, from one factory."""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from cryptobot_assets.assets.links import registry_page
from cryptobot_assets.assets.pictures import as_markdown, importance_picture, trial_picture
from cryptobot_assets.assets.second_look import second_look
from cryptobot_assets.assets.training_rows import TRAINING_SET, training_set_asset
from cryptobot_assets.assets.training_set import TrainingSet, TrainingSets, evenly
from cryptobot_assets.checks.training import TrainingChecks, kept_results, training_check_specs
from cryptobot_assets.domain.conformal import residual_bounds
from cryptobot_assets.domain.intervals import day_start, parse_day
from cryptobot_assets.domain.labels import HORIZON, HORIZON_HOURS, PREDICTION_DEFINITION
from cryptobot_assets.domain.splits import walk_forward
from cryptobot_assets.domain.trial_days import trial_days
from cryptobot_assets.errors import LeakFound
from cryptobot_assets.models.algorithms import ALGORITHMS, features_of, library_of, require_trainable
from cryptobot_assets.models.base import Algorithm, Params, TrialRecord
from cryptobot_assets.models.card import HIGH, LOW, ModelCard, warmup
from cryptobot_assets.models.journal import TrialJournal
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared
from cryptobot_assets.models.tuning import TuningResult, tune
from cryptobot_assets.models.witness import Witness
from cryptobot_assets.partitions import POOLED_MARKET, Partitions
from cryptobot_assets.profile import market_source
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import pooled_currencies
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import (
    CURRENCIES,
    DIGEST,
    STORE_VERSION,
    TRAINING_SETTINGS,
    RegisteredVersion,
    Training,
)
from cryptobot_assets.storage.store import Store
from cryptobot_assets.storage.trial_history import TRIAL_DAYS

GROUP = "training"
CODE_VERSION = "2"
WARMUP_ROWS = 8
FIT_THREADS = 2
DECISIVE = (
    "interval", "seed", "trials", "folds", "train_days", "train_stride_minutes", "max_training_rows", "max_tuning_rows",
    "holdout_from",
)  # fmt: skip
"""Settings on which a training's outcome depends."""


def model_asset_name(algorithm: str) -> str:
    """Asset of one algorithm: `ridge_model`."""
    return f"{algorithm}_model"


def training_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The training set and one model asset an algorithm, market x cutoff day."""
    sets = {features: TrainingSets(partitions.settings, features) for features in map(features_of, ALGORITHMS)}
    models = [_model_asset(name, partitions, sets[features_of(name)]) for name in ALGORITHMS]
    return [training_set_asset(partitions, sets), *models]


def _model_asset(name: str, partitions: Partitions, sets: TrainingSets) -> dg.AssetsDefinition:
    settings = partitions.settings

    @dg.asset(
        name=model_asset_name(name),
        deps=[TRAINING_SET],
        partitions_def=partitions.models,
        check_specs=training_check_specs(model_asset_name(name)),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
        group_name=GROUP,
        kinds={"python", library_of(name), "mlflow", "optuna"},
        owners=["team:research"],
        code_version=CODE_VERSION,
        description=(
            f"{name} tuned and fitted for one market on what was known at the cutoff day's first instant, "
            "registered in MLflow. Tuning: seeded TPE, squared error over walk-forward folds purged by the 24 h "
            "horizon, all inside the training data; how rows are weighted and labels scaled and cut is tuned too."
        ),
    )
    def model(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[Store],
        registry: dg.ResourceParam[Registry],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        asset = model_asset_name(name)
        keys = context.partition_key.keys_by_dimension
        market, cutoff = keys["market"], day_start(parse_day(keys["cutoff"]))
        currencies = pooled_currencies(settings, store, cutoff) if market == POOLED_MARKET else (market,)
        require_trainable(name, currencies)
        training_set = sets.read(store, currencies, market, cutoff)
        training = describe(name, market, cutoff, training_set, settings, tags=_tags(context, settings))
        version = registry.find(market, name, cutoff, training.fingerprint)
        if version is not None:
            progress.advance("tune", steps=settings.trials, note=f"{name}, kept")
            yield dg.MaterializeResult(
                metadata={**_registered(version, settings), "trained": "already, from the same rows"},
                check_results=kept_results(asset),
            )
            return
        checks = TrainingChecks(training_set.samples, settings.interval, cutoff)
        checks.look_ahead(sets.look_ahead(store, currencies, training_set))
        try:
            metadata = train(training, training_set, settings, registry, progress, checks)
        except LeakFound:
            yield from checks.results(asset)
            raise
        yield dg.MaterializeResult(metadata=metadata, check_results=checks.results(asset))

    return model


def describe(
    algorithm: str,
    market: str,
    cutoff: datetime,
    training_set: TrainingSet,
    settings: Settings,
    *,
    tags: dict[str, str],
) -> Training:
    """The training's record before it starts; its fingerprint covers all that decides the outcome."""
    samples = training_set.samples
    params = {
        "features": ",".join(samples.features),
        "start_time": f"{samples.time[0]}Z",
        "end_time": f"{samples.time[-1]}Z",
        "training_rows": min(len(samples), settings.max_training_rows),
        "tuning_rows": min(len(samples), settings.max_tuning_rows),
        "rows_before_thinning": len(samples),
        "rows_lacking_a_feature": training_set.dropped,
        "horizon_hours": HORIZON_HOURS,
        "prediction_definition": PREDICTION_DEFINITION,
        "trials": settings.trials,
        "folds": settings.folds,
        "seed": settings.seed,
        "interval": settings.interval,
        "train_stride_minutes": settings.train_stride_minutes,
        **({"holdout_from": f"{settings.holdout_from}"} if settings.holdout_from else {}),
    }
    decisive = json.dumps([algorithm, market, cutoff.isoformat(), training_set.digest, params, CODE_VERSION])
    return Training(
        market=market,
        algorithm=algorithm,
        cutoff=cutoff,
        fingerprint=hashlib.sha256(decisive.encode()).hexdigest(),
        params=params,
        tags={**tags, **_recipe(settings, training_set)},
    )


def _recipe(settings: Settings, training_set: TrainingSet) -> dict[str, str]:
    """Tags by which the same training can be done again (see `retraining`)."""
    return {
        STORE_VERSION: training_set.store_version,
        DIGEST: training_set.digest,
        CURRENCIES: ",".join(training_set.currencies),
        TRAINING_SETTINGS: json.dumps(settings.model_dump(mode="json", include=set(DECISIVE))),
    }


def train(
    training: Training,
    training_set: TrainingSet,
    settings: Settings,
    registry: Registry,
    progress: Progress,
    checks: TrainingChecks,
) -> dict[str, Any]:
    """Tune, fit, check what the fits were handed, register; returns what came of it, as metadata.

    Raises:
        LeakFound: a check does not hold; nothing is registered.
    """
    algorithm = Witness(ALGORITHMS[training.algorithm], training_set.samples.X, training_set.target)
    kept = evenly(len(training_set.samples), settings.max_tuning_rows)
    rows, realised = training_set.rows.take(kept), training_set.samples.y[kept]
    folds = [(fold.train, fold.test) for fold in walk_forward(rows.time, folds=settings.folds, horizon=HORIZON)]
    journal = TrialJournal(settings.home / "tuning" / training.fingerprint)
    with registry.training_run(training) as run:

        def on_trial(trial: TrialRecord) -> None:
            journal.write(trial)
            run.log_trial(trial)
            progress.advance("tune", steps=1, note=training.algorithm)

        # The last trial is done anew, so that the checks see how tuning fits.
        search = {"trials": settings.trials, "seed": settings.seed}
        tuned = tune(algorithm, rows, folds, **search, on_trial=on_trial, done=journal.read()[:-1])
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
        **_registered(version, settings),
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
    training: Training, settings: Settings, final: TrainingRows, residuals: np.ndarray, remembered: dict
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


def _registered(version: RegisteredVersion, settings: Settings) -> dict[str, str | dg.MetadataValue]:
    return {
        "registered_model": version.name,
        "version": version.version,
        "mlflow": registry_page(settings, version),
        "mlflow_run": version.run_id,
    }


def _tags(context: dg.AssetExecutionContext, settings: Settings) -> dict[str, str]:
    return {
        "git_commit": git_commit(),
        "dagster_run_id": context.run.run_id,
        "asset_key": context.asset_key.to_user_string(),
        "partition": str(context.partition_key),
        "market_source": market_source(settings.home, settings.exchange_url),
    }


def git_commit() -> str:
    """Commit of the running code, `unknown` outside a checkout."""
    answer = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else "unknown"

"""The MLflow run of one training: trials as they end, then the model and its registration."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cryptobot_assets.domain.model_card import Facts, model_card
from cryptobot_assets.models.base import FittedModel, TrialRecord
from cryptobot_assets.models.card import HIGH, LOW, ModelCard, write_model
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.storage import mlflow_client
from cryptobot_assets.storage.registry_records import (
    CARD_PAGE,
    INTERVAL_HIGH,
    INTERVAL_LOW,
    TUNED,
    RegisteredVersion,
    Training,
    algorithm_model,
)

if TYPE_CHECKING:
    from cryptobot_assets.storage.mlflow_client import mlflow

EFFORT = ("trials", "folds")
"""Params that a version carries as tags too, so that a report need not open its run."""


class TrainingRun:
    """The run of one training, open; `Registry.training_run` makes and ends it."""

    def __init__(self, client: mlflow.MlflowClient, tracking_uri: str, training: Training, experiment_id: str) -> None:
        self.training = training
        self._client = client
        self._tracking_uri = tracking_uri
        self._experiment_id = experiment_id
        self._trials: list[TrialRecord] = []
        name = f"{training.algorithm} {training.cutoff:%Y-%m-%d}"
        tags = {"mlflow.source.name": "cryptobot", **training.identity(), **training.tags}
        run = self._client.create_run(experiment_id, run_name=name, tags=tags)
        self.run_id: str = run.info.run_id
        mlflow_client.log_figures(self._client, self.run_id, metrics={}, params=training.params, tags={})

    def log_trial(self, trial: TrialRecord) -> None:
        """Record a trial as a nested run, the moment it ends."""
        ended = datetime.now(UTC)
        folds = {f"mse_fold_{number}": value for number, value in enumerate(trial.fold_values, 1)}
        error = {"error": trial.error[:500]} if trial.error else {}
        with mlflow_client.plain_errors(self._tracking_uri):
            run_id = self._client.create_run(
                self._experiment_id,
                start_time=mlflow_client.milliseconds(ended - timedelta(seconds=trial.seconds)),
                run_name=f"trial {trial.number}",
                tags={
                    "mlflow.parentRunId": self.run_id,
                    "algorithm": self.training.algorithm,
                    "state": trial.state,
                    **error,
                },
            ).info.run_id
            mlflow_client.log_figures(
                self._client,
                run_id,
                metrics={"mse": trial.value, "seconds": trial.seconds, **folds},
                params=trial.params,
                tags={},
            )
            self._client.set_terminated(
                run_id,
                "FINISHED" if trial.state == "complete" else "FAILED",
                mlflow_client.milliseconds(ended),
            )
        self._trials.append(trial)

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
        """Log the final fit with the trial history, and register it.

        Args:
            model: the final fit; its saved file must repeat the card's warm-up predictions.
            card: what the model is.
            params: the tuned values.
            metrics, plots, tables: as for `Registry.log_evaluation`.

        Raises:
            RegistryError: the saved model answers otherwise than the one in memory.
        """
        tables = {"trials.csv": trial_table(self._trials), **tables}
        told, tuned = self._card(params, metrics), {TUNED: json.dumps(dict(params))}
        with mlflow_client.plain_errors(self._tracking_uri):
            mlflow_client.log_figures(self._client, self.run_id, metrics=metrics, params=params, tags=tuned)
            mlflow_client.log_files(self._client, self.run_id, plots=plots, tables=tables, pages={CARD_PAGE: told})
            logged = self._client.create_logged_model(
                self._experiment_id, name=self.training.algorithm, source_run_id=self.run_id
            )
            with tempfile.TemporaryDirectory() as parent:
                folder = Path(parent, "model")
                file = write_model(model, card, folder)
                warm_up(load_scorer(folder))
                mlflow_client.describe_folder(folder, file, card, run_id=self.run_id, model_id=logged.model_id)
                self._client.log_model_artifacts(logged.model_id, str(folder))
            self._client.finalize_logged_model(logged.model_id, "READY")
            return mlflow_client.create_version(
                self._client,
                algorithm_model(self.training.market, self.training.algorithm),
                logged.artifact_location,
                run_id=self.run_id,
                tags={**self.training.identity(), "run_id": self.run_id, **self._effort(), **_bounds(card)},
                description=told,
                model_id=logged.model_id,
            )

    def _card(self, tuned: Mapping[str, Any], metrics: Mapping[str, float | None]) -> str:
        """The model card before any row out of sample is known."""
        training = self.training
        return model_card(
            Facts(
                market=training.market,
                algorithm=training.algorithm,
                cutoff=training.cutoff.isoformat(),
                params=training.params,
                metrics={name: value for name, value in metrics.items() if value is not None},
                tags=training.tags,
                tuned=tuned,
            )
        )

    def _effort(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.training.params.items() if name in EFFORT}


def _bounds(card: ModelCard) -> dict[str, str]:
    held = card.residual_quantiles
    return {tag: repr(held[end]) for tag, end in ((INTERVAL_LOW, LOW), (INTERVAL_HIGH, HIGH)) if end in held}


def trial_table(trials: Sequence[TrialRecord]) -> pl.DataFrame:
    """One row a trial: number, state, mse, seconds, error, then `fold_<n>` and `param_<name>`."""
    return pl.DataFrame(
        [
            {
                "number": trial.number,
                "state": trial.state,
                "mse": trial.value,
                "seconds": trial.seconds,
                "error": trial.error,
                **{f"fold_{number}": value for number, value in enumerate(trial.fold_values, 1)},
                **{f"param_{name}": value for name, value in trial.params.items()},
            }
            for trial in trials
        ],
        infer_schema_length=None,
    )

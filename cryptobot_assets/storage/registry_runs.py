"""What the run behind a registered version holds: params, metrics, tags and files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion, market_model

WORTH_TABLE = "feature_worth.json"
"""Table of a run: what each group of features adds out of sample."""

MOST_EVALUATED = 200
"""Newest evaluated runs of a market that are looked through."""


@dataclass(frozen=True)
class RunRecord:
    """What was logged on a run, as MLflow keeps it: params and tags are text."""

    experiment_id: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def read_run(registry: Registry, version: RegisteredVersion) -> RunRecord:
    """The run that trained a version."""
    with registry.plain_errors():
        run = registry.client.get_run(version.run_id)
        return RunRecord(run.info.experiment_id, dict(run.data.params), dict(run.data.metrics), dict(run.data.tags))


def read_tables(registry: Registry, version: RegisteredVersion) -> dict[str, bytes]:
    """Files below `tables/` of the version's run, by name."""
    with registry.plain_errors(), tempfile.TemporaryDirectory() as folder:
        names = [one.path for one in registry.client.list_artifacts(version.run_id, "tables") if not one.is_dir]
        return {
            Path(name).name: Path(registry.client.download_artifacts(version.run_id, name, folder)).read_bytes()
            for name in names
        }


def evaluated_runs(registry: Registry, market: str) -> dict[str, Mapping[str, float]]:
    """Metrics of each algorithm's run of the latest cutoff that was evaluated out of sample."""
    with registry.plain_errors():
        experiment = registry.client.get_experiment_by_name(market_model(market))
        if experiment is None:
            return {}
        runs = registry.client.search_runs(
            [experiment.experiment_id],
            filter_string="metrics.oos_rows > 0",
            order_by=["attributes.start_time DESC"],
            max_results=MOST_EVALUATED,
        )
    by_cutoff = sorted(runs, key=lambda run: (datetime.fromisoformat(run.data.tags["cutoff"]), run.info.start_time))
    return {run.data.tags["algorithm"]: dict(run.data.metrics) for run in by_cutoff}

"""One deployment on this machine: its home, its metadata server and its Dagster instance.

<home>/
  home.json      the market it holds (interval, currencies, exchange)
  lake/          klines, indicators, predictions, gaps (Delta Lake)
  postgres/      Dagster's and MLflow's bookkeeping (embedded PostgreSQL)
  dagster/       DAGSTER_HOME, with the dagster.yaml written here
  mlflow/        model artifacts
  logs/          one log a service
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from cryptobot_assets.automation.causes import first_cause
from cryptobot_assets.automation.records import PROCESS_TAG
from cryptobot_assets.dagster_home import open_instance, process_name
from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.errors import CryptobotError
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import read_listings
from cryptobot_assets.storage.metadata import metadata_faults_told, release_metadata
from cryptobot_assets.storage.store import open_store
from cryptobot_assets.universe import missing_partitions, open_partitions

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class RunFailed(CryptobotError):
    """A Dagster run of this command failed; the message carries the first cause."""


@dataclass(frozen=True)
class Deployment:
    """An open deployment: run its assets in this process, against its own Dagster instance."""

    settings: Settings
    partitions: Partitions
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    _jobs: dict[frozenset[tuple[str, int]], dg.JobDefinition] = field(default_factory=dict, repr=False)

    def materialized(self, asset: str) -> set[str]:
        """Partition keys whose newest run recorded them.

        Not those of a later run that failed or was killed: it may have stored rows, and not all of them.
        """
        key, log = dg.AssetKey(asset), self.instance.event_log_storage
        unrecorded = log.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        return set(self.instance.get_materialized_partitions(key)) - set(unrecorded)

    def materialize(
        self,
        assets: list[str],
        *,
        key: str | None = None,
        key_range: tuple[str, str] | None = None,
        resources: Mapping[str, Any] | None = None,
        ops: Mapping[str, Any] | None = None,
    ) -> None:
        """Materialize assets in one run, for one partition or for a range of them; `ops` is their run configuration.

        Raises:
            RunFailed: the first step that failed, and its cause in one line.
            StoreError: the metadata server could not record it.
            KeyboardInterrupt: the run was interrupted.
        """
        tags = {PROCESS_TAG: process_name(os.getpid())}
        if key_range is not None:
            tags |= {
                "dagster/asset_partition_range_start": key_range[0],
                "dagster/asset_partition_range_end": key_range[1],
            }
        with interruptible(), metadata_faults_told(self.settings):
            result = self._job(resources or {}).execute_in_process(
                asset_selection=[dg.AssetKey(name) for name in assets],
                instance=self.instance,
                partition_key=key,
                tags=tags,
                run_config={**QUIET, "ops": ops or {}},
                raise_on_error=False,
            )
        if not result.success:
            raise _failure(result)

    def reopened(self) -> "Deployment":
        """The same with the currencies that have been listed meanwhile, where the universe is `all`."""
        if self.partitions.universe is None:
            return self
        partitions = open_partitions(self.settings)
        missing, _ = missing_partitions(partitions, read_listings(open_store(self.settings)), self.instance)
        for name, currencies in missing.items():
            self.instance.add_dynamic_partitions(name, currencies)
        definitions = build_definitions(self.settings, partitions)
        return Deployment(self.settings, partitions.live(self.instance), self.instance, definitions)

    def _job(self, resources: Mapping[str, Any]) -> dg.JobDefinition:
        """The job under which the UI launches assets, so that a run is shown by them; made once for many runs."""
        held = {**(self.definitions.resources or {}), **resources}
        key = frozenset((name, id(one)) for name, one in held.items())
        if key not in self._jobs:
            definitions = dg.Definitions(assets=self.definitions.assets, resources=held)
            self._jobs.clear()
            self._jobs[key] = definitions.resolve_implicit_global_asset_job_def()
        return self._jobs[key]


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn a signal to stop during a run into `KeyboardInterrupt`, at the latest when the run has ended.

    Dagster has handlers of its own during a run and forgets a signal that comes while it records
    events; the wakeup file descriptor is told of every one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    except DagsterExecutionInterruptedError as error:
        raise KeyboardInterrupt from error
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            came = pipe.read()
    if STOP_SIGNALS.intersection(came):
        raise KeyboardInterrupt


@contextmanager
def open_deployment(settings: Settings) -> Iterator[Deployment]:
    """Open the deployment of a home; the metadata server is held until the end."""
    for name in ("dagster", "mlflow", "alembic", "optuna"):
        logging.getLogger(name).setLevel(logging.ERROR)
    partitions = open_partitions(settings)
    try:
        with open_instance(settings) as instance:
            # Storage opens a connection for every event unless told to hold one.
            instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=8)
            yield Deployment(settings, partitions, instance, build_definitions(settings, partitions))
    finally:
        release_metadata(settings)


def _failure(result: dg.ExecuteInProcessResult) -> RunFailed:
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            failure = RunFailed(f"{event.step_key}: {first_cause(error).reason if error else event.message}")
            failure.add_note(str(error))
            return failure
    return RunFailed("the run failed before its first step")

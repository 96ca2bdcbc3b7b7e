"""DAGSTER_HOME: the instance, its configuration, the limits of its pools, and runs that nobody runs any more."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.storage.dagster_run import RunsFilter
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.controller import get_daemon_statuses

from cryptobot_assets.automation.records import PROCESS_TAG
from cryptobot_assets.home import require_whole_home
from cryptobot_assets.pools import LIMITS
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import metadata_urls

OURS = "# Written by cryptobot at each start, as long as this line stands: take it out to keep changes of yours."
DAGSTER_YAML = f"""\
{OURS}
run_storage:
  module: dagster_postgres.run_storage
  class: PostgresRunStorage
  config: &database
    postgres_url:
      env: CRYPTOBOT_DAGSTER_DATABASE
schedule_storage:
  module: dagster_postgres.schedule_storage
  class: PostgresScheduleStorage
  config: *database
event_log_storage:
  module: cryptobot_assets.storage.event_log
  class: BulkEventLogStorage
  config: *database
telemetry:
  enabled: false
nux:
  enabled: false
run_monitoring:
  enabled: true
scheduler:
  module: dagster._core.scheduler
  class: DagsterDaemonScheduler
  config:
    # A tick that could not ask, because the store was away, asks again every minute.
    max_tick_retries: 30
run_retries:
  # For runs that ask for it by their tags.
  enabled: true
concurrency:
  runs:
    max_concurrent_runs: 2
  pools:
    # A run waits in the queue until its pools have room. Per op it would wait while running, and spin.
    granularity: run
"""

GOING_ON = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """This deployment's Dagster instance; its pools are limited and runs of killed processes closed."""
    os.environ.update(deployment_environment(settings))
    with dg.DagsterInstance.get() as instance:
        set_pool_limits(instance)
        close_abandoned_runs(instance, local=settings.metadata_url is None)
        yield instance


def deployment_environment(settings: Settings) -> dict[str, str]:
    """Variables that let any process of this deployment find the rest; starts the metadata server.

    Raises:
        HomeConflict: a restore into the home was cut short.
    """
    require_whole_home(settings.home)
    urls = metadata_urls(settings)
    dagster_home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster")
    keep_dagster_yaml(dagster_home)
    return {
        "DAGSTER_HOME": str(dagster_home),
        "CRYPTOBOT_DAGSTER_DATABASE": urls.dagster,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri or urls.mlflow,
        "CRYPTOBOT_HOME": str(settings.home),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def keep_dagster_yaml(dagster_home: Path) -> None:
    """Write `dagster.yaml`, or write it anew, unless someone has made it theirs."""
    path = dagster_home / "dagster.yaml"
    held = path.read_text() if path.exists() else OURS
    if held != DAGSTER_YAML and held.startswith(OURS):
        dagster_home.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(DAGSTER_YAML)
        draft.replace(path)


def set_pool_limits(instance: dg.DagsterInstance) -> None:
    """Limit the pools that have no limit yet."""
    limited = {pool.name for pool in instance.event_log_storage.get_pool_limits()}
    for name, limit in LIMITS.items():
        if name not in limited:
            instance.event_log_storage.set_concurrency_slots(name, limit)


def process_name(pid: int) -> str:
    """A living process among all that there have ever been, for the tag of its runs."""
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def silent_daemons() -> list[str]:
    """Parts of Dagster's daemon, of the instance in the environment, that have not been heard of for half an hour.

    Dagster's own measure, under which a part that does one long thing is not taken for dead.
    """
    with dg.DagsterInstance.get() as instance:
        kinds = instance.get_required_daemon_types()
        statuses = get_daemon_statuses(instance, kinds, ignore_errors=True)
        return sorted(kind for kind, status in statuses.items() if not status.healthy)


def close_abandoned_runs(instance: dg.DagsterInstance, *, local: bool) -> int:
    """Mark runs of killed processes as failed; returns how many.

    They would show as going on for ever and hold their pools. Runs of commands tell their process.
    Those that Dagster launched tell the socket of the code server that is their parent; its absence
    means something only where the instance is `local`, on this machine alone.
    """
    closed = 0
    for run in instance.get_runs(RunsFilter(statuses=GOING_ON)):
        ended = _ended(run.tags.get(PROCESS_TAG, ""))
        if ended or (local and _is_orphan(json.loads(run.tags.get(GRPC_INFO_TAG, "{}")))):
            instance.report_run_failed(run, "the process that ran this was killed")
            closed += 1
    return closed


def _ended(process: str) -> bool:
    """Whether the process of that name was one of this machine and is no more."""
    host, _, rest = process.partition(":")
    if host != socket.gethostname():
        return False
    try:
        return process_name(int(rest.split(":")[0])) != process
    except psutil.NoSuchProcess:
        return True


def _is_orphan(code_server: dict[str, str]) -> bool:
    """Whether the code server listened on a socket of this machine and does so no more."""
    path = code_server.get("socket")
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) in (errno.ENOENT, errno.ECONNREFUSED)

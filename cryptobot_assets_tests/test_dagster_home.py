"""The instance is configured without a hand, keeps what people change, and forgets runs of killed processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test

from cryptobot_assets.dagster_home import (
    DAGSTER_YAML,
    OURS,
    PROCESS_TAG,
    close_abandoned_runs,
    keep_dagster_yaml,
    process_name,
    set_pool_limits,
)
from cryptobot_assets.pools import EXCHANGE, LIMITS

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def limits(instance: dg.DagsterInstance) -> dict[str, int]:
    return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}


def test_a_home_gets_the_configuration_and_its_newer_versions(tmp_path: Path) -> None:
    keep_dagster_yaml(tmp_path / "new")
    assert (tmp_path / "new" / "dagster.yaml").read_text() == DAGSTER_YAML
    (tmp_path / "dagster.yaml").write_text(f"{OURS}\nnux: {{enabled: true}}\n")
    keep_dagster_yaml(tmp_path)
    assert (tmp_path / "dagster.yaml").read_text() == DAGSTER_YAML
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["dagster.yaml"]


def test_a_configuration_of_someone_else_stays(tmp_path: Path) -> None:
    theirs = DAGSTER_YAML.replace(OURS, "# mine")
    (tmp_path / "dagster.yaml").write_text(theirs)
    keep_dagster_yaml(tmp_path)
    assert (tmp_path / "dagster.yaml").read_text() == theirs


def test_pools_are_limited_once_and_then_left_to_people(instance: dg.DagsterInstance) -> None:
    set_pool_limits(instance)
    assert limits(instance) == LIMITS
    instance.event_log_storage.set_concurrency_slots(EXCHANGE, 3)
    set_pool_limits(instance)
    assert limits(instance) == {**LIMITS, EXCHANGE: 3}


def test_runs_wait_for_pools_in_the_queue() -> None:
    """Waiting inside a run, Dagster's in-process executor would spin."""
    assert yaml.safe_load(DAGSTER_YAML)["concurrency"]["pools"] == {"granularity": "run"}


def test_runs_of_killed_processes_are_closed(instance: dg.DagsterInstance) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        run = create_run_for_test(instance, status=STARTED, tags={PROCESS_TAG: process_name(other.pid)})
        assert close_abandoned_runs(instance, local=True) == 0
        other.kill()
    assert close_abandoned_runs(instance, local=False) == 1
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert close_abandoned_runs(instance, local=True) == 0


def test_runs_of_living_and_of_other_machines_processes_go_on(instance: dg.DagsterInstance) -> None:
    reused = f"{socket.gethostname()}:{os.getpid()}:1.00"  # another process had this pid before
    for process in (process_name(os.getpid()), f"elsewhere:{2**22}:1.00"):
        create_run_for_test(instance, status=STARTED, tags={PROCESS_TAG: process})
    assert close_abandoned_runs(instance, local=True) == 0
    create_run_for_test(instance, status=STARTED, tags={PROCESS_TAG: reused})
    assert close_abandoned_runs(instance, local=True) == 1


def test_launched_runs_are_closed_when_their_code_server_is_gone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    path = str(tmp_path / "code")
    tags = {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": path})}
    for status in (STARTED, dg.DagsterRunStatus.CANCELING):
        create_run_for_test(instance, status=status, tags=tags)
    create_run_for_test(instance, status=STARTED, tags={GRPC_INFO_TAG: json.dumps({"host": "x", "port": 1})})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert close_abandoned_runs(instance, local=True) == 0
    assert close_abandoned_runs(instance, local=False) == 0
    assert close_abandoned_runs(instance, local=True) == 2

"""One deployment for all tests of monitoring, none of which writes to it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptobot_assets_tests.conftest import MakeDatabase
from cryptobot_assets_tests.monitoring.world import World, make_world, opened_world


@pytest.fixture(scope="session")
def world(shared: Path, mlflow_database: MakeDatabase) -> Iterator[World]:
    """See `make_world`; made by the worker that comes first."""
    folder = shared / "world"
    with (shared / "world.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            mlflow_database(folder / "mlflow.db")
            make_world(folder)
    with opened_world(folder) as opened:
        yield opened

"""One deployment for all tests of monitoring, none of which writes to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryptobot_assets_tests.conftest import MakeDatabase
from cryptobot_assets_tests.monitoring.world import World, made_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, mlflow_database: MakeDatabase) -> Iterator[World]:
    """See `made_world`."""
    folder = tmp_path_factory.mktemp("world")
    with made_world(folder, mlflow_database(folder / "mlflow.db")) as made:
        yield made

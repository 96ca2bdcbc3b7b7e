"""One deployment for all tests of monitoring, none of which writes to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryptobot_assets_tests.monitoring.world import World, made_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """See `made_world`."""
    with made_world(tmp_path_factory.mktemp("world")) as made:
        yield made

"""One platform for all tests of automation, with nothing stored and nothing recorded at the start of each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from cryptobot_assets.processes import free_port
from cryptobot_assets_tests.automation.ticks import Platform, open_platform


@pytest.fixture(scope="session")
def _platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("home")
    with open_platform(home, exchange_url=f"http://127.0.0.1:{free_port()}") as opened:
        yield opened


@pytest.fixture
def platform(_platform: Platform) -> Iterator[Platform]:
    """The platform, emptied afterwards; at the address of its exchange nothing answers."""
    yield _platform
    _platform.instance.wipe()
    shutil.rmtree(_platform.settings.home / "lake", ignore_errors=True)
    (_platform.settings.home / "home.json").unlink(missing_ok=True)

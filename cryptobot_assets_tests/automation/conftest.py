"""One platform for all tests of automation, with nothing stored and nothing recorded at the start of each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from cryptobot_assets.processes import free_port
from cryptobot_assets_tests.alerts.servers import Received, running_webhook
from cryptobot_assets_tests.automation.ticks import Platform, open_platform


@pytest.fixture(scope="session")
def _receiver() -> Iterator[Received]:
    with running_webhook() as received:
        yield received


@pytest.fixture
def receiver(_receiver: Received) -> Received:
    """Takes the platform's messages; it has none yet, and works."""
    _receiver.bodies.clear()
    _receiver.status = 200
    return _receiver


@pytest.fixture(scope="session")
def _platform(tmp_path_factory: pytest.TempPathFactory, _receiver: Received) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("home")
    address = f"http://127.0.0.1:{free_port()}"
    with open_platform(home, exchange_url=address, alert_webhook=_receiver.url) as opened:
        yield opened


@pytest.fixture
def platform(_platform: Platform) -> Iterator[Platform]:
    """The platform, emptied afterwards; at the address of its exchange nothing answers."""
    yield _platform
    _platform.instance.wipe()
    shutil.rmtree(_platform.settings.home / "lake", ignore_errors=True)
    (_platform.settings.home / "home.json").unlink(missing_ok=True)

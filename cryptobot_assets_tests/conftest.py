"""Factories that every test may use."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryptobot_assets.exchange.clock import Clock
from cryptobot_assets.exchange.faults import FaultPlan
from cryptobot_assets.exchange.limits import WeightLimiter
from cryptobot_assets.exchange.market import Market
from cryptobot_assets.exchange.server import make_app, start
from cryptobot_assets.storage import weight_file
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets_tests.patience import PATIENCE_SECONDS
from cryptobot_assets_tests.programs import require_program

MakeExchange = Callable[..., str]
MakeDatabase = Callable[[Path], str]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; where everything is required its absence is a failure, else the test is skipped."""
    return require_program("chromium", "chromium")


def pytest_configure() -> None:
    """Bytecode is kept, for a hundred children import the same; interrupts are those of a terminal.

    What a script starts with `&` ignores interrupts, and so do all its children.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that bring up the platform first, then those with servers.

    A long one left to the end would keep one worker busy alone while the others are done.
    """
    servers = {item.path for item in items if item.get_closest_marker("platform") is not None}
    items.sort(key=lambda item: ("platform" not in item.path.parts, item.path not in servers))


@pytest.fixture(scope="session")
def recorded_klines() -> Path:
    """The folder of recorded klines, which the project does not hold; the test skips without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "market"
    folder = Path(os.environ.get("CRYPTOBOT_RECORDED_KLINES", beside))
    if not (folder / "fixtures").is_dir():
        pytest.skip(f"no recorded klines at {folder}: set CRYPTOBOT_RECORDED_KLINES")
    return folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that all its workers see; lock what you make there."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def mlflow_database(shared: Path) -> MakeDatabase:
    """Make an MLflow database at a path; returns its address. They are copies of one: its tables take seconds."""
    first = shared / "mlflow.db"
    with (shared / "mlflow.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not first.exists():
            draft = shared / "mlflow.draft"
            Registry(f"sqlite:///{draft}", shared / "none").require_answer()
            draft.rename(first)

    def make(place: Path) -> str:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, place)
        return f"sqlite:///{place}"

    return make


@pytest.fixture(scope="session")
def _exchange_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="exchange", daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of the test's own: where its processes share their request budgets."""
    directory = tmp_path / "machine"
    directory.mkdir()
    monkeypatch.setattr(weight_file, "machine_directory", lambda: directory)
    return directory


@pytest.fixture
def make_exchange(_exchange_loop: asyncio.AbstractEventLoop, machine: Path) -> Iterator[MakeExchange]:
    """Serve a market on a real socket for the length of the test; returns its URL."""
    runners = []

    def make(
        market: Market,
        *,
        clock: Clock | None = None,
        limiter: WeightLimiter | None = None,
        faults: FaultPlan | None = None,
        port: int = 0,
    ) -> str:
        app = make_app(market, clock=clock, limiter=limiter, faults=faults)
        runner, url = asyncio.run_coroutine_threadsafe(start(app, port=port), _exchange_loop).result(PATIENCE_SECONDS)
        runners.append(runner)
        return url

    yield make
    for runner in runners:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), _exchange_loop).result(PATIENCE_SECONDS)

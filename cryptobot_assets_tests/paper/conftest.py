"""One life of a small market, hour by hour, for all tests of the paper bot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from cryptobot_assets.exchange.server import make_app, start
from cryptobot_assets_tests.cli.conftest import home, run  # noqa: F401 fixtures
from cryptobot_assets_tests.conftest import MakeDatabase
from cryptobot_assets_tests.paper.live import (
    ASLEEP,
    AWAKE,
    CUTOFF,
    END,
    SWITCHED,
    HandClock,
    Life,
    begin,
    make_paper_market,
    train,
)
from cryptobot_assets_tests.patience import PATIENCE_SECONDS


@pytest.fixture(scope="session")
def begun(
    _exchange_loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory, mlflow_database: MakeDatabase
) -> Iterator[Life]:
    """A home at the cutoff. Copy it before you change it."""
    clock = HandClock(CUTOFF)
    app = make_app(make_paper_market(), clock=clock)
    runner, url = asyncio.run_coroutine_threadsafe(start(app), _exchange_loop).result(PATIENCE_SECONDS)
    folder = tmp_path_factory.mktemp("begun") / "home"
    mlflow_database(folder / "mlflow.db")
    yield begin(folder, url, clock)
    asyncio.run_coroutine_threadsafe(runner.cleanup(), _exchange_loop).result(PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def lived(begun: Life) -> Life:
    """The same home after 38 hours, off for 18 of them, another champion since the 27th. Copy it to change it."""
    assert begun.live(ASLEEP) == [0, 1, 1, 1, 1, 1]
    begun.sleep(AWAKE)
    begun.live(SWITCHED)
    other = train(begun, seed=5)
    begun.registry.promote(other, alias="champion", verdict={"promote": True, "reasons": ["planted"]})
    assert begun.live(END) == [1, 1, 1, 1, 1, 0, 0, 3, 1, 1, 1], "while a currency is halted the hour waits for it"
    return begun

"""The gapped market, served once for all tests of assets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from cryptobot_assets.exchange.server import make_app, start
from cryptobot_assets_tests.assets.gap_market import Place, make_gapped_market


@pytest.fixture(scope="session")
def ingested(_exchange_loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The gapped market ingested and indicated; no ledger yet. Copy it before you change it."""
    runner, url = asyncio.run_coroutine_threadsafe(start(make_app(make_gapped_market())), _exchange_loop).result(60)
    place = Place(tmp_path_factory.mktemp("ingested") / "lake", url)
    place.ingest()
    place.indicate()
    yield place
    asyncio.run_coroutine_threadsafe(runner.cleanup(), _exchange_loop).result(60)


@pytest.fixture(scope="session")
def repaired(ingested: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same after a first ledger and repair. Copy it before you change it."""
    place = ingested.copy(tmp_path_factory.mktemp("repaired"))
    place.look()
    place.mend()
    return place

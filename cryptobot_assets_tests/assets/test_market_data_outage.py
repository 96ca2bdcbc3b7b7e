"""The exchange away for longer than anybody waits: the partition fails clearly, and the next run heals it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from socket import create_server

import dagster as dg
import pytest

from cryptobot_assets.assets.market_data import market_data_assets
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.exchange.server import make_app, start
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, KLINES
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")

KEY = "BTCUSDT|2025-01-02"
RETRIES = 2
MARKET = make_market(interval="1h", count=96)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def materialize(instance: dg.DagsterInstance, tmp_path: Path, url: str) -> dg.ExecuteInProcessResult:
    """One day of hours, with as many tries as a partition has."""
    settings = Settings.load(
        home=tmp_path, interval="1h", partition="day", currencies="BTCUSDT", start_day=date(2025, 1, 1),
        retries=RETRIES, retry_seconds=0,
    )  # fmt: skip
    return dg.materialize(
        market_data_assets(Partitions(settings)),
        partition_key=KEY,
        instance=instance,
        resources={
            "history": History(Exchange(url, retries=1, sleep=lambda seconds: None)),
            "store": Lake(str(tmp_path / "lake")),
            "progress": Silent(),
        },
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Kinds and messages of the errors behind a failed run, the one that is shown first."""
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    error, found = event.step_failure_data.error, {}
    while error is not None:
        found[error.cls_name] = error.message.strip()
        error = error.cause
    return found


def stored(tmp_path: Path) -> int:
    return Lake(str(tmp_path / "lake")).read(KLINES).height


def test_an_exchange_that_is_away_fails_the_partition_and_the_next_run_heals_it(
    instance: dg.DagsterInstance, tmp_path: Path, _exchange_loop: asyncio.AbstractEventLoop
):
    with closing(create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    away = materialize(instance, tmp_path, url)
    assert not away.success
    tries = [entry for entry in instance.all_logs(away.run_id) if "; try " in entry.message]
    assert len(tries) == RETRIES
    assert failures(away)["ExchangeUnreachable"].endswith(
        f"exchange {url} gave no usable answer: nothing answers there"
    )
    assert stored(tmp_path) == 0
    runner, _ = asyncio.run_coroutine_threadsafe(start(make_app(MARKET), port=port), _exchange_loop).result(60)
    try:
        assert materialize(instance, tmp_path, url).success
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), _exchange_loop).result(60)
    assert stored(tmp_path) == 24
    assert Lake(str(tmp_path / "lake")).read(GAPS).is_empty()


@pytest.mark.parametrize(
    ("faults", "kind", "words"),
    [
        ("403:1", "ExchangeError", "its firewall refuses this machine"),
        ("451:1", "ExchangeError", "set CRYPTOBOT_EXCHANGE_URL to an address that does"),
        ("malformed:1", "ExchangeUnreachable", "gave no usable answer"),
        ("418:1,retry_after=3600", "RateLimited", "asks to wait 3600 s (HTTP 418)"),
        ("duplicate:1", "BadKlines", "out of order, twice"),
    ],
)
def test_what_an_exchange_does_wrong_is_said_and_nothing_is_stored(
    instance: dg.DagsterInstance, tmp_path: Path, make_exchange: MakeExchange, faults: str, kind: str, words: str
):
    result = materialize(instance, tmp_path, make_exchange(MARKET, faults=parse_faults(faults)))
    assert not result.success
    message = failures(result)[kind]
    assert words in message and "\n" not in message
    assert stored(tmp_path) == 0

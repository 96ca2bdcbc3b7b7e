"""The daemon for real: an outage told, healed by the next tick, partitions filled without a hand."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from aiohttp import web

from cryptobot_assets.dagster_home import open_instance
from cryptobot_assets.exchange.market import Market, to_ms
from cryptobot_assets.exchange.server import make_app, start
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.processes import Child, Supervisor, free_port
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.metadata import release_metadata
from cryptobot_assets.storage.store import INDICATORS, KLINES
from cryptobot_assets_tests.alerts.servers import Received, running_webhook
from cryptobot_assets_tests.platform.commands import SETTINGS, left_behind

pytestmark = [pytest.mark.platform, pytest.mark.timeout(1800)]

CURRENCIES = ("BTCUSDT", "ETHUSDT")
SEED, FIRST, DAYS = 11, datetime(2025, 1, 1, tzinfo=UTC), 2
BEFORE, SIX, NOON = (FIRST + timedelta(hours=hours) for hours in (29.9, 30, 36))
DAEMON = Path(__file__).with_name("market_daemon.py")
PATIENCE_SECONDS = 400
WHO = {"ingestion_schedule", "indicators_sensor", "new_listings_sensor"}
"""Asks for runs here; the last of them only where the test takes more than five minutes."""


class Time:
    """The market's time: moves on as ours does, and jumps when told; the daemon reads it from a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def jump(self, to: datetime) -> None:
        """It is now a moment after `to`."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(str(to.timestamp() + 1 - time.time()))
        draft.replace(self.file)

    def now_ms(self) -> int:
        return int((time.time() + float(self.file.read_text())) * 1000)


class Exchange:
    """A simulated exchange that is up or down, always at the same address."""

    def __init__(self, market: Market, clock: Time, loop: asyncio.AbstractEventLoop) -> None:
        self._market = market
        self._clock = clock
        self._loop = loop
        self._port = free_port()
        self._runner: web.AppRunner | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        app = make_app(self._market, clock=self._clock.now_ms)
        self._runner, _ = asyncio.run_coroutine_threadsafe(start(app, port=self._port), self._loop).result(10)

    def down(self) -> None:
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
            self._runner = None


@dataclass(frozen=True)
class Unattended:
    """A fresh home with a daemon over it."""

    settings: Settings
    instance: dg.DagsterInstance
    daemon: Child
    time: Time
    exchange: Exchange
    webhook: Received
    market: Market

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Return when it is true; fails when the daemon ends before, or it takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert self.daemon.is_alive(), self.daemon.output()
            assert time.monotonic() < deadline, f"no {what}: {self.daemon.output()[-6000:]}"
            time.sleep(0.2)

    def recorded(self, asset: str) -> dict[str, int]:
        """Partitions recorded as materialized, and where in the event log."""
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        return dict(self.instance.get_latest_storage_id_by_partition(dg.AssetKey(asset), kind))

    def is_filled(self) -> bool:
        """Whether both days have indicators newer than their klines, for every currency."""
        klines, indicators = self.recorded("klines"), self.recorded("indicators")
        keys = [f"{currency}|2025-01-{day:02}" for currency in CURRENCIES for day in (1, 2)]
        return all(indicators.get(key, -1) > klines.get(key, 1 << 62) for key in keys)

    def require_stored(self, until: datetime) -> None:
        """Nothing, when every kline finished by then is stored as the market has it, with its indicators."""
        lake = Lake(self.settings.lake_url)
        for currency in CURRENCIES:
            series = self.market.series(currency)
            finished = series.time_ms < to_ms(until)
            rows = lake.read(KLINES, currency=currency, end=until)
            assert rows["time"].dt.epoch("ms").to_list() == series.time_ms[finished].tolist()
            assert rows["close"].to_list() == pytest.approx(series.close[finished])
            assert lake.read(INDICATORS, currency=currency, end=until)["time"].equals(rows["time"])


@pytest.fixture(scope="module")
def unattended(
    tmp_path_factory: pytest.TempPathFactory, _exchange_loop: asyncio.AbstractEventLoop
) -> Iterator[Unattended]:
    """What `cryptobot up` starts of Dagster, without its pages."""
    folder = tmp_path_factory.mktemp("unattended")
    market = simulate(SEED, len(CURRENCIES), days=DAYS, interval="1m", start=FIRST)
    clock = Time(folder / "clock")
    clock.jump(BEFORE)
    exchange = Exchange(market, clock, _exchange_loop)
    with running_webhook() as webhook, pytest.MonkeyPatch.context() as patch, Supervisor() as programs:
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            patch.delenv(name)
        given = {
            "HOME": folder / "home", "EXCHANGE_URL": exchange.url, "CURRENCIES": ",".join(CURRENCIES),
            "START_DAY": FIRST.date(), "CATCH_UP_DAYS": 5, "AUTOMATION": "true", "SENSOR_SECONDS": 2, "RETRIES": 0,
            "INGESTION_CRON": "0 */6 * * *", "FRESHNESS_HOURS": 1e6, "ALERT_WEBHOOK": webhook.url,
        }  # fmt: skip
        for name, value in given.items():
            patch.setenv(f"CRYPTOBOT_{name}", str(value))
        for name in ("DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE", "DAGSTER_DISABLE_TELEMETRY", "MLFLOW_TRACKING_URI"):
            patch.setenv(name, "")
            patch.delenv(name)
        settings = Settings.load()
        with open_instance(settings) as instance:
            daemon = programs.start(
                "daemon",
                [sys.executable, DAEMON, clock.file, "run", "-m", "cryptobot_assets.definitions"],
                log_path=folder / "daemon.log",
            )
            yield Unattended(settings, instance, daemon, clock, exchange, webhook, market)
            programs.stop()
        release_metadata(settings)
    exchange.down()
    assert left_behind(folder) == []


def test_an_outage_is_told_and_partitions_are_filled_without_a_hand(unattended: Unattended) -> None:
    webhook, exchange = unattended.webhook, unattended.exchange
    unattended.until(lambda: looks_at_everything(unattended.instance), "first look of the sensors")
    unattended.time.jump(SIX)
    told = webhook.until(lambda body: body["state"] == "failed", "alert", seconds=PATIENCE_SECONDS)
    assert told["title"] == "klines failed for 4 partitions"
    assert told["reason"] == f"exchange {exchange.url} gave no usable answer: nothing answers there"
    assert told["subjects"] == ["BTCUSDT|2025-01-01 to ETHUSDT|2025-01-02"]
    assert unattended.recorded("klines") == {}

    exchange.up()
    unattended.time.jump(NOON)
    unattended.until(unattended.is_filled, "indicators after the next tick")
    webhook.until(lambda body: body["state"] == "recovered", "recovery", seconds=PATIENCE_SECONDS)
    unattended.require_stored(NOON)
    assert [body["state"] for body in webhook.bodies] == ["failed", "recovered"]
    unattended.until(lambda: all(run.is_finished for run in unattended.instance.get_runs()), "end of the runs")
    runs = unattended.instance.get_runs()
    assert {run.tags.get("dagster/schedule_name") or run.tags.get("dagster/sensor_name") for run in runs} <= WHO
    assert [run.status.value for run in runs].count("FAILURE") == 1


def looks_at_everything(instance: dg.DagsterInstance) -> bool:
    """Whether schedules are under way and every sensor has looked once."""
    states = {one.instigator_name: one.instigator_data for one in instance.all_instigator_state()}
    sensors = [states.get(name) for name in ("alert_sensor", "indicators_sensor", "predictions_sensor")]
    return "ingestion_schedule" in states and all(one is not None and one.cursor for one in sensors)

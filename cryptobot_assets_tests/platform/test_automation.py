"""The daemon for real: an outage told, healed by the next tick, partitions filled without a hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from cryptobot_assets.code_server import code_server
from cryptobot_assets.dagster_home import open_instance
from cryptobot_assets.exchange.market import Market, to_ms
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.processes import Supervisor
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.metadata import release_metadata
from cryptobot_assets.storage.store import INDICATORS, KLINES
from cryptobot_assets_tests.alerts.servers import Received, running_webhook
from cryptobot_assets_tests.platform.commands import left_behind
from cryptobot_assets_tests.platform.unattended import RUNS_SECONDS, Daemon, Exchange, Time, environment

pytestmark = [pytest.mark.platform, pytest.mark.timeout(1800)]

CURRENCIES = ("BTCUSDT", "ETHUSDT")
SEED, FIRST, DAYS = 11, datetime(2025, 1, 1, tzinfo=UTC), 2
BEFORE, SIX, NOON = (FIRST + timedelta(hours=hours) for hours in (29.9, 30, 36))
WHO = {"ingestion_schedule", "indicators_sensor", "new_listings_sensor"}
"""Asks for runs here; the last of them only where the test takes more than five minutes."""


@dataclass(frozen=True)
class Unattended:
    """A fresh home with a daemon over it."""

    settings: Settings
    daemon: Daemon
    time: Time
    exchange: Exchange
    webhook: Received
    market: Market

    def is_filled(self) -> bool:
        """Whether both days have indicators newer than their klines, for every currency."""
        klines, indicators = self.daemon.recorded("klines"), self.daemon.recorded("indicators")
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
    given = {
        "HOME": folder / "home", "EXCHANGE_URL": exchange.url, "CURRENCIES": ",".join(CURRENCIES),
        "START_DAY": FIRST.date(), "CATCH_UP_DAYS": 5, "AUTOMATION": "true", "SENSOR_SECONDS": 2, "RETRIES": 0,
        "INGESTION_CRON": "0 */6 * * *", "FRESHNESS_HOURS": 1e6,
    }  # fmt: skip
    with (
        running_webhook() as webhook,
        environment(given | {"ALERT_WEBHOOK": webhook.url}),
        code_server() as code,
        Supervisor() as programs,
    ):
        settings = Settings.load()
        with open_instance(settings) as instance:
            daemon = Daemon.start(instance, programs, code, clock, folder)
            yield Unattended(settings, daemon, clock, exchange, webhook, market)
            programs.stop()
        release_metadata(settings)
    exchange.down()
    assert left_behind(folder) == []


def test_an_outage_is_told_and_partitions_are_filled_without_a_hand(unattended: Unattended) -> None:
    webhook, exchange, daemon = unattended.webhook, unattended.exchange, unattended.daemon
    daemon.until_looked("alert_sensor", "indicators_sensor", "predictions_sensor")
    unattended.time.jump(SIX)
    told = webhook.until(lambda body: body["state"] == "failed", "alert", seconds=RUNS_SECONDS)
    assert told["title"] == "klines failed for 4 partitions"
    assert told["reason"] == f"exchange {exchange.url} gave no usable answer: nothing answers there"
    assert told["subjects"] == ["BTCUSDT|2025-01-01 to ETHUSDT|2025-01-02"]
    assert daemon.recorded("klines") == {}

    exchange.up()
    unattended.time.jump(NOON)
    daemon.until(unattended.is_filled, "indicators after the next tick")
    webhook.until(lambda body: body["state"] == "recovered", "recovery", seconds=RUNS_SECONDS)
    unattended.require_stored(NOON)
    assert [body["state"] for body in webhook.bodies] == ["failed", "recovered"]
    daemon.until_idle()
    runs = daemon.instance.get_runs()
    assert {run.tags.get("dagster/schedule_name") or run.tags.get("dagster/sensor_name") for run in runs} <= WHO
    assert [run.status.value for run in runs].count("FAILURE") == 1

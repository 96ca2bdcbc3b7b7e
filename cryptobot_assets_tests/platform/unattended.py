"""What `cryptobot up` starts of Dagster, over a market whose time jumps when a test says so."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from aiohttp import web

from cryptobot_assets.code_server import CodeServer
from cryptobot_assets.exchange.market import Market
from cryptobot_assets.exchange.server import make_app, start
from cryptobot_assets.processes import Child, Supervisor, free_port
from cryptobot_assets_tests.patience import PATIENCE_SECONDS
from cryptobot_assets_tests.platform.commands import SETTINGS

DAEMON = Path(__file__).with_name("market_daemon.py")
RUNS_SECONDS = 3 * PATIENCE_SECONDS
"""How long a few runs, one after the other, are waited for."""
LOOK_SECONDS = 1.0


class Time:
    """A time that moves on as ours does, and jumps when told; a daemon reads it from a file."""

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
        starting = asyncio.run_coroutine_threadsafe(start(app, port=self._port), self._loop)
        self._runner, _ = starting.result(PATIENCE_SECONDS)

    def down(self) -> None:
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(PATIENCE_SECONDS)
            self._runner = None


@contextmanager
def environment(given: Mapping[str, object]) -> Iterator[None]:
    """Inside, these settings (without their prefix) and no others."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            patch.delenv(name)
        for name, value in given.items():
            patch.setenv(f"CRYPTOBOT_{name}", str(value))
        for name in ("DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE", "DAGSTER_DISABLE_TELEMETRY", "MLFLOW_TRACKING_URI"):
            patch.setenv(name, "")
            patch.delenv(name)
        yield


@dataclass(frozen=True)
class Daemon:
    """Dagster's daemon and what it has recorded."""

    instance: dg.DagsterInstance
    child: Child

    @classmethod
    def start(
        cls, instance: dg.DagsterInstance, programs: Supervisor, code: CodeServer, clock: Time, logs: Path
    ) -> Daemon:
        server = [sys.executable, "-m", "cryptobot_assets_tests.platform.warm_code_server"]
        code.start(programs, env=None, log_path=logs / "code.log", program=server)
        argv = [sys.executable, DAEMON, clock.file, "run", "--workspace", code.workspace]
        return cls(instance, programs.start("daemon", argv, log_path=logs / "daemon.log"))

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Return when it is true; fails when the daemon ends before, or it takes too long."""
        deadline = time.monotonic() + RUNS_SECONDS
        while not true():
            assert self.child.is_alive(), self.child.output()
            assert time.monotonic() < deadline, f"no {what}: {self.child.output()[-6000:]}"
            time.sleep(LOOK_SECONDS)

    def until_looked(self, *sensors: str) -> None:
        """Return when schedules are under way and each of these sensors has looked once."""

        def looked() -> bool:
            states = {one.instigator_name: one.instigator_data for one in self.instance.all_instigator_state()}
            found = [states.get(name) for name in sensors]
            return "ingestion_schedule" in states and all(one is not None and one.cursor for one in found)

        self.until(looked, "first look of the sensors")

    def until_idle(self) -> None:
        """Return when every run has ended."""
        self.until(lambda: all(run.is_finished for run in self.instance.get_runs()), "end of the runs")

    def told_of(self, run_id: str) -> list[str]:
        """What the event log says of a run's failures."""
        events = [one.dagster_event for one in self.instance.all_logs(run_id) if one.dagster_event]
        return [f"{one.message} {one.event_specific_data}" for one in events if one.is_failure]

    def recorded(self, asset: str) -> dict[str, int]:
        """Partitions recorded as materialized, and where in the event log."""
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        return dict(self.instance.get_latest_storage_id_by_partition(dg.AssetKey(asset), kind))

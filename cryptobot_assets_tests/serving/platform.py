"""A small real platform to serve from: an hourly lake, trained models, an SQLite registry, the process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl

from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.labels import PREDICTION_DEFINITION
from cryptobot_assets.domain.samples import Samples, make_samples
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.base import FittedModel
from cryptobot_assets.models.card import ModelCard, warmup
from cryptobot_assets.serving.command import service_command
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion, Training
from cryptobot_assets.storage.store import INDICATORS
from cryptobot_assets_tests.patience import PATIENCE_SECONDS

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 40
CURRENCIES = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
NO_KEEPING = httpx.Limits(max_keepalive_connections=0)


def make_indicators(currency: str, *, days: int = DAYS, seed: int = 0) -> pl.DataFrame:
    """Indicators of hourly random-walk closes from `START` on."""
    steps = np.random.default_rng([seed, *currency.encode()]).normal(0, 0.01, days * 24)
    times = [START + timedelta(hours=hour) for hour in range(days * 24)]
    klines = pl.DataFrame(
        {"currency": currency, "time": times, "close": 100 * np.exp(np.cumsum(steps))},
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    return indicator_frame(klines, "1h", START, START + timedelta(days=days))


def fill_lake(url: str) -> Lake:
    """A lake with the indicators of `CURRENCIES`."""
    lake = Lake(url)
    for currency in CURRENCIES:
        lake.replace(INDICATORS, make_indicators(currency), start=None, end=None, currency=currency)
    return lake


def read_samples(lake: Lake) -> Samples:
    """Every complete row of the lake."""
    end = START + timedelta(days=DAYS)
    return make_samples(lake.read(INDICATORS), features=DEFAULT_FEATURES, interval="1h", start=START, end=end)


def train(
    registry: Registry, samples: Samples, *, algorithm: str = "ridge", seed: int = 0
) -> tuple[FittedModel, RegisteredVersion]:
    """Fit on noise drawn from `seed`, so that each seed is another model, and register it."""
    y = np.random.default_rng(seed).normal(0, 0.02, len(samples))
    cutoff = START + timedelta(days=30, hours=seed)
    space = ALGORITHMS[algorithm].space
    model = ALGORITHMS[algorithm].fit(
        samples.X, y, params={name: chosen.default for name, chosen in space.items()}, seed=seed
    )
    card = ModelCard(
        algorithm=algorithm,
        market="ALL",
        cutoff=cutoff,
        interval="1h",
        features=DEFAULT_FEATURES,
        horizon_hours=24,
        prediction=PREDICTION_DEFINITION,
        residual_quantiles={"0.05": -0.03, "0.95": 0.04},
        **warmup(model, samples.X[:5]),
    )
    training = Training(market="ALL", algorithm=algorithm, cutoff=cutoff, fingerprint=str(seed))
    with registry.training_run(training) as run:
        return model, run.finish(model, card, params={}, metrics={}, plots={}, tables={})


@dataclass(frozen=True)
class Service:
    """A running service process and a client of it."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    log: Path

    def predict(self, currency: str = "BTCUSDT") -> dict[str, Any]:
        """The champion's reply for a currency."""
        reply = self.client.post("/predict", json={"currency": currency})
        assert reply.status_code == 200, reply.text
        return reply.json()


class Hammer:
    """Threads that ask for a prediction over and over, each time on a connection of its own."""

    def __init__(self, service: Service, *, threads: int = 3, pause_seconds: float = 0.05) -> None:
        self._url = service.client.base_url
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(threads)]
        self.replies: list[dict[str, Any]] = []
        self.failures: list[str] = []

    def __enter__(self) -> Hammer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def newest_are(self, version: str, *, newest: int = 20) -> bool:
        """Whether the last replies were all of a version."""
        last = self.replies[-newest:]
        return len(last) == newest and all(reply["model"]["version"] == version for reply in last)

    def _ask_on(self) -> None:
        with httpx.Client(
            base_url=self._url, limits=NO_KEEPING, timeout=PATIENCE_SECONDS, verify=False, trust_env=False
        ) as client:
            while not self._stopping.wait(self._pause_seconds):
                self._ask(client)

    def _ask(self, client: httpx.Client) -> None:
        try:
            reply = client.post("/predict", json={"currency": "ETHUSDT"})
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        if reply.status_code == 200:
            self.replies.append(reply.json())
        else:
            self.failures.append(reply.text)


@contextmanager
def running_service(settings: Settings) -> Iterator[Service]:
    """The service's real process; every process of it has ended when the block has."""
    port = free_port()
    argv, env = service_command(settings, port)
    log = settings.home / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, env=os.environ | env, stdout=output, stderr=output, start_new_session=True, cwd=settings.home
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS, trust_env=False) as client:
            yield Service(client, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        finally:
            kill_group(process.pid)


def kill_group(group: int) -> None:
    """End whatever a process group still holds."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(true: Callable[[], bool], *, what: str, seconds: float = PATIENCE_SECONDS) -> float:
    """Seconds until `true()`; fails after `seconds`."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        try:
            if true():
                return time.monotonic() - started
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")

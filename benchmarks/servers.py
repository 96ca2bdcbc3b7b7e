"""The servers that are compared: ours, `mlflow models serve`, BentoML's own way, FastAPI, and a bare app, one model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.load import Load, Plan, send, sender
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets_tests.serving.platform import (
    fill_lake,
    free_port,
    kill_group,
    read_samples,
    running_service,
    train,
    wait_until,
)

VERDICT = {"promote": False, "reasons": ["a benchmark"]}


@dataclass(frozen=True)
class World:
    """A store, a registry and versions of one model."""

    folder: Path
    settings: Settings
    registry: Registry
    versions: tuple[RegisteredVersion, ...]
    row: dict[str, float]

    def appoint(self, number: int) -> None:
        """Make one of the versions the champion."""
        self.registry.promote(self.versions[number % len(self.versions)], alias="champion", verdict=VERDICT)


def make_world(folder: Path, workers: int, versions: int) -> World:
    """Everything the servers serve from."""
    settings = Settings.load(
        home=folder / "home", interval="1h", mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db",
        service_workers=workers,
    )  # fmt: skip
    settings.home.mkdir()
    registry = Registry(f"sqlite:///{folder}/mlflow.db", folder / "artifacts")
    samples = read_samples(fill_lake(settings.lake_url))
    trained = tuple(train(registry, samples, seed=seed)[1] for seed in range(versions))
    row = dict(zip(samples.features, samples.X[0].tolist(), strict=True))
    world = World(folder, settings, registry, trained, row)
    world.appoint(0)
    return world


@contextmanager
def ours(world: World) -> Iterator[tuple[str, int]]:
    """The service: its URL and its process."""
    with running_service(world.settings) as service:
        wait_until(lambda: service.client.get("/readyz").status_code == 200, seconds=180, what="readiness")
        url = f"{service.client.base_url}/predict_features"
        yield url, service.process.pid


@contextmanager
def in_process(world: World, *, name: str, command: Sequence[str]) -> Iterator[tuple[str, int]]:
    """A server that a module of this folder makes, the model in its process."""
    folder = world.registry.download(world.versions[0], world.folder / name)
    home = world.folder / f"{name}-home"
    home.mkdir()
    environment = {"BARE_MODEL": str(folder), "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    argv = [sys.executable, "-m", *command]
    with _process(argv, world.folder / f"{name}.log", environment, "--port") as (port, pid):
        url = f"http://127.0.0.1:{port}/predict_features"
        _wait(url)
        yield url, pid


@contextmanager
def mlflow_serve(world: World) -> Iterator[tuple[str, int]]:
    """`mlflow models serve` of the same version."""
    version = world.versions[0]
    argv = [
        sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local",
        "-m", f"models:/{version.name}/{version.version}",
    ]  # fmt: skip
    environment = {"MLFLOW_TRACKING_URI": str(world.settings.mlflow_tracking_uri)}
    with _process(argv, world.folder / "mlflow.log", environment, "--port") as (port, pid):
        _wait(f"http://127.0.0.1:{port}/ping")
        yield f"http://127.0.0.1:{port}/invocations", pid


@contextmanager
def _process(argv: Sequence[str], log: Path, environment: dict[str, str], port_flag: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    path = os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*argv, port_flag, str(port)], stdout=output, stderr=output, start_new_session=True,
            env=os.environ | {"PYTHONPATH": path, "PATH": programs} | environment,
        )  # fmt: skip
    try:
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
        kill_group(process.pid)


def _wait(url: str) -> None:
    wait_until(lambda: httpx.get(url, trust_env=False).status_code < 500, seconds=180, what=f"an answer of {url}")


def cpu_seconds(pid: int) -> float:
    """User and system seconds so far of a process and all below it."""
    parent = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (parent, *parent.children(recursive=True)))


def memory_mb(pid: int) -> float:
    """Memory of a process and all below it; what several share is counted once."""
    parent = psutil.Process(pid)
    return sum(one.memory_full_info().pss for one in (parent, *parent.children(recursive=True))) / 1e6


@dataclass(frozen=True)
class Server:
    """One way to serve.

    Attributes:
        open: the URL that takes rows, and the process with all its workers below it.
        field: of the body that holds the rows.
        answer: the prediction in a reply of one row.
    """

    open: Callable[[World], AbstractContextManager[tuple[str, int]]]
    field: str = "rows"
    answer: Callable[[Any], float] = lambda reply: reply["predicted_return"][0]

    def body(self, row: dict[str, float]) -> bytes:
        """The body of one row as this server reads it."""
        return json.dumps({self.field: [row]}).encode()


TYPED_BENTO = "benchmarks.typed_bento:TypedModel"
UVICORN = ("uvicorn", "--factory", "--no-access-log")
SERVERS = {
    "ours": Server(ours),
    "mlflow": Server(mlflow_serve, "dataframe_records", lambda reply: reply["predictions"][0]["predicted_return"]),
    "bentoml": Server(partial(in_process, name="bentoml", command=("bentoml", "serve", TYPED_BENTO))),
    "fastapi": Server(partial(in_process, name="fastapi", command=(*UVICORN, "benchmarks.fastapi_app:make_app"))),
    "bare": Server(partial(in_process, name="bare", command=(*UVICORN, "benchmarks.bare_app:make_app"))),
}


@dataclass(frozen=True)
class Loaded:
    """One load on one server.

    Attributes:
        found: what the sender saw.
        cpu_seconds: of the server's processes, a reply.
        memory_mb: of them, after the load.
    """

    found: Load
    cpu_seconds: float
    memory_mb: float


class Alive:
    """All servers, alive at once and warm, and a sender."""

    def __init__(self, world: World, running: Mapping[str, tuple[str, int]], pool: ProcessPoolExecutor) -> None:
        self._world, self._running, self._pool = world, running, pool

    def load(self, name: str, connections: int, seconds: float) -> Loaded:
        """As many requests of one row as it answers over so many connections."""
        url, pid = self._running[name]
        cpu = cpu_seconds(pid)
        found = send(self._pool, Plan(url, SERVERS[name].body(self._world.row), connections, seconds)).result()
        return Loaded(found, (cpu_seconds(pid) - cpu) / max(len(found.seconds), 1), memory_mb(pid))

    def answer(self, name: str) -> float:
        """The prediction of the row."""
        url, _ = self._running[name]
        headers = {"content-type": "application/json"}
        reply = httpx.post(url, content=SERVERS[name].body(self._world.row), headers=headers, trust_env=False)
        return SERVERS[name].answer(reply.raise_for_status().json())


@contextmanager
def all_alive(world: World, warm_seconds: float) -> Iterator[Alive]:
    """Every server of `SERVERS`, ended with the block."""
    with ExitStack() as stack:
        pool = stack.enter_context(sender())
        running = {name: stack.enter_context(server.open(world)) for name, server in SERVERS.items()}
        alive = Alive(world, running, pool)
        for name in running:
            alive.load(name, 4, warm_seconds)
        yield alive

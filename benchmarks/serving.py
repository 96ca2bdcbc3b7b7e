"""The prediction service under load, beside `mlflow models serve` and a bare app with the same model in process.

    python benchmarks/serving.py                  one row a request, at 1, 16 and 64 connections, each server in turn
    python benchmarks/serving.py --swap           ours alone, the champion alias moving every 5 s
    python benchmarks/serving.py --soak 3600      ours alone for an hour, alias moving: failures and memory

Times of different machines or days say nothing about each other: the ratios of one session do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import httpx
import psutil

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
SWAP_SECONDS = 5.0
CONNECTIONS = (1, 16, 64)


@dataclass
class Load:
    """What one load found.

    Attributes:
        seconds: of each reply.
        failures: requests that were not answered with 200.
        last_seen: when each version answered last.
        lags: of each move of the alias, seconds until the version before answered for the last time.
        lasted: seconds of the whole.
    """

    seconds: list[float] = field(default_factory=list)
    failures: int = 0
    last_seen: dict[str, float] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)
    lasted: float = 0.0

    def figures(self) -> dict[str, float]:
        """Median and 99th percentile in milliseconds, requests a second."""
        if len(self.seconds) < 2:
            return {"p50_ms": float("nan"), "p99_ms": float("nan"), "per_second": 0.0}
        p99 = statistics.quantiles(self.seconds, n=100)[98]
        return {
            "p50_ms": statistics.median(self.seconds) * 1e3,
            "p99_ms": p99 * 1e3,
            "per_second": len(self.seconds) / self.lasted,
        }


@dataclass(frozen=True)
class World:
    """A store, a registry and two versions of one model."""

    folder: Path
    settings: Settings
    registry: Registry
    versions: tuple[RegisteredVersion, RegisteredVersion]
    row: dict[str, float]

    def appoint(self, number: int) -> None:
        """Make one of the versions the champion."""
        self.registry.promote(self.versions[number % 2], alias="champion", verdict=VERDICT)


def make_world(folder: Path, workers: int) -> World:
    """Everything the servers serve from."""
    settings = Settings.load(
        home=folder / "home", interval="1h", mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db",
        service_workers=workers,
    )  # fmt: skip
    settings.home.mkdir()
    registry = Registry(settings.mlflow_tracking_uri, folder / "artifacts")
    samples = read_samples(fill_lake(settings.lake_url))
    versions = tuple(train(registry, samples, seed=seed)[1] for seed in range(2))
    row = dict(zip(samples.features, samples.X[0].tolist(), strict=True))
    world = World(folder, settings, registry, versions, row)
    world.appoint(0)
    return world


@contextmanager
def ours(world: World) -> Iterator[tuple[str, bytes, int]]:
    """The service: its URL, a body of one row, its process."""
    with running_service(world.settings) as service:
        wait_until(lambda: service.client.get("/readyz").status_code == 200, seconds=180, what="readiness")
        url = f"{service.client.base_url}/predict_features"
        yield url, json.dumps({"rows": [world.row]}).encode(), service.process.pid


@contextmanager
def bare(world: World) -> Iterator[tuple[str, bytes, int]]:
    """The bare app under uvicorn."""
    folder = world.registry.download(world.versions[0], world.folder / "bare")
    argv = [sys.executable, "-m", "uvicorn", "--factory", "--no-access-log", "benchmarks.bare_app:make_app"]
    with _process(argv, world.folder / "bare.log", {"BARE_MODEL": str(folder)}, "--port") as (port, pid):
        url = f"http://127.0.0.1:{port}/predict_features"
        _wait(url)
        yield url, json.dumps({"rows": [world.row]}).encode(), pid


@contextmanager
def mlflow_serve(world: World) -> Iterator[tuple[str, bytes, int]]:
    """`mlflow models serve` of the same version."""
    version = world.versions[0]
    argv = [
        sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local",
        "-m", f"models:/{version.name}/{version.version}",
    ]  # fmt: skip
    environment = {"MLFLOW_TRACKING_URI": str(world.settings.mlflow_tracking_uri)}
    with _process(argv, world.folder / "mlflow.log", environment, "--port") as (port, pid):
        _wait(f"http://127.0.0.1:{port}/ping")
        body = {"dataframe_records": [world.row]}
        yield f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), pid


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


async def load(url: str, body: bytes, *, connections: int, seconds: float, into: Load | None = None) -> Load:
    """Ask over and over, each connection one request at a time."""
    found, until = into or Load(), time.perf_counter() + seconds
    connector = aiohttp.TCPConnector(limit=connections)
    headers = {"content-type": "application/json"}

    async def ask(session: aiohttp.ClientSession) -> None:
        while (started := time.perf_counter()) < until:
            try:
                async with session.post(url, data=body, headers=headers) as reply:
                    content = await reply.read()
                    if reply.status != 200:
                        found.failures += 1
                        continue
            except aiohttp.ClientError:
                found.failures += 1
                continue
            found.seconds.append(time.perf_counter() - started)
            if b'"version":"' in content:
                found.last_seen[content.split(b'"version":"')[1].split(b'"')[0].decode()] = time.perf_counter()

    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        await asyncio.gather(*(ask(session) for _ in range(connections)))
    found.lasted = time.perf_counter() - started
    return found


def memory_mb(pid: int) -> float:
    """Memory of a process and all below it."""
    parent = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True))) / 1e6


async def moving(world: World, work: asyncio.Task[Load], found: Load, told: Callable[[int], None]) -> Load:
    """Move the alias every few seconds until the load ends."""
    swaps = 0
    while not work.done():
        moved, before = time.perf_counter(), world.versions[swaps % 2].version
        swaps += 1
        await asyncio.to_thread(world.appoint, swaps)
        await asyncio.wait({work}, timeout=SWAP_SECONDS)
        found.lags.append(max(0.0, found.last_seen.get(before, moved) - moved))
        told(swaps)
    return await work


def compare(world: World, seconds: float, connections: Sequence[int]) -> None:
    """Each server in turn at each number of connections, and the ratios to ours."""
    figures: dict[tuple[str, int], dict[str, float]] = {}
    for name, server in (("ours", ours), ("mlflow", mlflow_serve), ("bare", bare)):
        with server(world) as (url, body, _):
            asyncio.run(load(url, body, connections=4, seconds=min(2.0, seconds)))
            for number in connections:
                found = asyncio.run(load(url, body, connections=number, seconds=seconds))
                figures[name, number] = found.figures()
                told = "  ".join(f"{key} {value:9.2f}" for key, value in found.figures().items())
                print(f"{name:<7} {number:>3} connections  {told}  failures {found.failures}", flush=True)
    for number in connections:
        mine = figures["ours", number]
        ratios = [
            f"{key} of {name} / ours {figures[name, number][key] / mine[key]:.2f}"
            for name in ("mlflow", "bare")
            for key in ("p50_ms", "p99_ms")
        ]
        print(f"{number:>3} connections: {'; '.join(ratios)}")


def swap(world: World, seconds: float, connections: int) -> None:
    """Ours alone while the alias moves; fails when a request did."""
    with ours(world) as (url, body, pid):
        asyncio.run(load(url, body, connections=connections, seconds=2.0))
        before = memory_mb(pid)

        def told(swaps: int) -> None:
            if swaps % 12 == 0:
                print(f"{swaps} swaps, {memory_mb(pid):.0f} MB", flush=True)

        async def both() -> Load:
            found = Load()
            work = asyncio.create_task(load(url, body, connections=connections, seconds=seconds, into=found))
            return await moving(world, work, found, told)

        found = asyncio.run(both())
        print(f"{len(found.seconds)} replies by versions {sorted(found.last_seen)}, {found.failures} failures")
        print(f"the version before answered until {max(found.lags):.2f} s after the alias moved, at most")
        print("  ".join(f"{key} {value:.2f}" for key, value in found.figures().items()))
        print(f"memory {before:.0f} MB before, {memory_mb(pid):.0f} MB after")
    if found.failures:
        raise SystemExit(1)


def main() -> None:
    """Read the options and run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=15.0, help="of each load")
    options.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    options.add_argument("--workers", type=int, default=1, help="of our service")
    options.add_argument("--swap", action="store_true", help="move the champion alias during the load")
    options.add_argument("--soak", type=float, metavar="SECONDS", help="--swap for so long")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), asked.workers)
        if asked.swap or asked.soak:
            swap(world, asked.soak or asked.seconds, asked.connections[-1])
        else:
            compare(world, asked.seconds, asked.connections)


if __name__ == "__main__":
    main()

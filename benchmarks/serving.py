"""The prediction service under load, beside `mlflow models serve`, BentoML's own way, FastAPI and a bare app.

    python benchmarks/serving.py                  one row a request, at 1, 16 and 64 connections, each server in turn
    python benchmarks/serving.py --swap           ours alone, the champion alias moving every 5 s
    python benchmarks/serving.py --soak 3600      ours alone for an hour, alias moving: failures and memory
    python benchmarks/serving.py --rows 1000      ours alone, beside decoding and predicting in this process

Times of different machines or days say nothing about each other: the ratios of one session do.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path

import httpx
import msgspec
import numpy as np

from benchmarks.bare_app import Rows
from benchmarks.load import Load, Plan, send, sender
from benchmarks.servers import SERVERS, World, all_alive, make_world, memory_mb, ours
from cryptobot_assets.models.loading import load_scorer

SWAP_SECONDS = 5.0
CONNECTIONS = (1, 16, 64)


def compare(world: World, seconds: float, connections: Sequence[int]) -> None:
    """All servers alive at once and loaded in turn, at each number of connections, and the ratios to ours."""
    figures: dict[tuple[str, int], dict[str, float]] = {}
    with all_alive(world, min(2.0, seconds)) as alive:
        for number, name in itertools.product(connections, SERVERS):
            found = alive.load(name, number, seconds).found
            figures[name, number] = found.figures()
            print(f"{name:<7} {number:>3} connections  {told(found)}", flush=True)
    for number in connections:
        mine = figures["ours", number]
        ratios = [
            f"{key} of {name} / ours {figures[name, number][key] / mine[key]:.2f}"
            for name in SERVERS
            if name != "ours"
            for key in ("p50_ms", "p99_ms", "per_second")
        ]
        print(f"{number:>3} connections: {'; '.join(ratios)}")


def told(found: Load) -> str:
    """A load's figures as a line."""
    return "  ".join(f"{key} {value:9.2f}" for key, value in found.figures().items()) + f"  failures {found.failures}"


def swap(world: World, plan: Plan, pool: ProcessPoolExecutor, pid: int) -> None:
    """Ours alone while the alias moves over all versions; fails when a request did."""
    send(pool, Plan(plan.url, plan.body, plan.connections, 2.0)).result()
    before, work = memory_mb(pid), send(pool, plan)
    moves: list[tuple[float, str]] = []
    while not work.done():
        moves.append((time.perf_counter(), world.versions[len(moves) % len(world.versions)].version))
        world.appoint(len(moves))
        wait([work], timeout=SWAP_SECONDS)
        if len(moves) % 12 == 0:
            print(f"{len(moves)} swaps, {memory_mb(pid):.0f} MB", flush=True)
    found = work.result()
    print(f"{len(found.seconds)} replies by versions {sorted(found.last_seen, key=int)}, {found.failures} failures")
    reigning = world.versions[len(moves) % len(world.versions)].version
    print(f"the version before answered until {lag(moves, found, reigning):.2f} s after the alias moved, at most")
    print(told(found))
    print(f"memory {before:.0f} MB before, {memory_mb(pid):.0f} MB after {len(moves)} swaps")
    if found.failures:
        raise SystemExit(1)


def lag(moves: Sequence[tuple[float, str]], found: Load, reigning: str) -> float:
    """Seconds until a version that was moved away from answered last; of the last move from each but the reigning."""
    last = {version: moved for moved, version in moves if version != reigning}
    return max(found.last_seen.get(version, moved) - moved for version, moved in last.items())


def soak(world: World, seconds: float, connections: int) -> None:
    """The alias moves while requests come at half of what the service can answer."""
    with ours(world) as (url, pid), sender() as pool:
        body = SERVERS["ours"].body(world.row)
        peak = send(pool, Plan(url, body, connections, 10.0)).result().figures()["per_second"]
        print(f"peak {peak:.0f} requests a second; half of it for {seconds:.0f} s", flush=True)
        swap(world, Plan(url, body, connections, seconds, per_second=peak / 2), pool, pid)


def many_rows(world: World, rows: int, times: int) -> None:
    """A request of many rows, beside decoding the same body and predicting in this process, in turn."""
    scorer = load_scorer(world.registry.download(world.versions[0], world.folder / "in-process"))
    body = json.dumps({"rows": [world.row] * rows}).encode()
    decoder = msgspec.json.Decoder(Rows)

    def in_process() -> None:
        decoded = decoder.decode(body).rows
        scorer.predict(np.array([[row[name] for name in scorer.features] for row in decoded]))

    with ours(world) as (url, _), httpx.Client(trust_env=False) as client:
        world.appoint(0)
        headers = {"content-type": "application/json"}

        def served() -> None:
            client.post(url, content=body, headers=headers).raise_for_status()

        seconds: dict[str, list[float]] = {"served": [], "in process": []}
        for _ in range(times):
            for name, work in (("served", served), ("in process", in_process)):
                started = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(found[times // 5 :]) * 1e3 for name, found in seconds.items()}
    shown = "  ".join(f"{name} {median:.2f} ms" for name, median in medians.items())
    print(f"{rows} rows: {shown}  served / in process {medians['served'] / medians['in process']:.2f}")


def main() -> None:
    """Read the options and run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=15.0, help="of each load")
    options.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    options.add_argument("--workers", type=int, default=1, help="of our service")
    options.add_argument("--versions", type=int, default=2, help="that the alias moves over")
    options.add_argument("--swap", action="store_true", help="move the champion alias during the load")
    options.add_argument("--soak", type=float, metavar="SECONDS", help="--swap at half of the peak, for so long")
    options.add_argument("--rows", type=int, help="ours alone with so many rows a request, beside the same in process")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), asked.workers, asked.versions)
        if asked.rows:
            many_rows(world, asked.rows, times=200)
        elif asked.soak:
            soak(world, asked.soak, asked.connections[-1])
        elif asked.swap:
            with ours(world) as (url, pid), sender() as pool:
                for number in asked.connections:
                    print(f"{number} connections, a swap every {SWAP_SECONDS:.0f} s", flush=True)
                    swap(world, Plan(url, SERVERS["ours"].body(world.row), number, asked.seconds), pool, pid)
        else:
            compare(world, asked.seconds, asked.connections)


if __name__ == "__main__":
    main()

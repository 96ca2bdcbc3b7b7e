"""`cryptobot backfill` as a process, killed (SIGKILL) at seeded points again and again, until it comes to its end."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptobot_assets_tests.faults.schedules import Step
from cryptobot_assets_tests.faults.served import ServedExchange, VirtualTime
from cryptobot_assets_tests.faults.worlds import World, minutes
from cryptobot_assets_tests.platform.commands import Command, left_behind, run, start

MARKET = minutes()
MOST_REQUESTS, MOST_COMMITS = 40, 5
COMMIT_SECONDS = 0.4
"""How long after a commit a kill may come."""


@dataclass(frozen=True)
class Wanted:
    """What a backfill asks for: these currencies, from one day to another."""

    currencies: tuple[str, ...]
    first: str
    last: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the command line."""
        return "backfill", "--currencies", ",".join(self.currencies), "--from", self.first, "--to", self.last


@dataclass(frozen=True)
class Point:
    """Where a command is killed: at a request, or some seconds after a commit of the store, counted from its start."""

    request: int = 0
    commit: int = 0
    seconds: float = 0.0


def everything(world: World = MARKET) -> Wanted:
    """All currencies and days of the market."""
    return Wanted(world.currencies, *(day.isoformat() for day in world.days))


def draw_wanted(draw: random.Random, world: World = MARKET) -> Wanted:
    """Everything, or some currencies and days."""
    if draw.random() < 0.5:
        return everything(world)
    first, last = world.days
    days = sorted(draw.sample(range((last - first).days + 1), 2))
    names = draw.sample(world.currencies, draw.randrange(1, len(world.currencies) + 1))
    return Wanted(tuple(names), *((first + timedelta(days=day)).isoformat() for day in days))


def draw_point(draw: random.Random) -> Point:
    """A request, or a moment after a commit."""
    if draw.random() < 0.5:
        return Point(request=draw.randrange(1, MOST_REQUESTS))
    return Point(commit=draw.randrange(1, MOST_COMMITS), seconds=draw.uniform(0, COMMIT_SECONDS))


@contextmanager
def served_market(world: World = MARKET) -> Iterator[ServedExchange]:
    """The market on a real socket, without any fault."""
    served = ServedExchange(world, Step(world.end, weight=10**6), 0, VirtualTime())
    served.start()
    try:
        yield served
    finally:
        served.stop()


def settings_of(served: ServedExchange, **more: str) -> dict[str, str]:
    """Environment of a backfill from that exchange and its archives."""
    return {"CRYPTOBOT_EXCHANGE_URL": served.url, "CRYPTOBOT_ARCHIVE_URL": served.url,
            "CRYPTOBOT_CURRENCIES": "BTCUSDT", **more}  # fmt: skip


def backfill(home: Path, served: ServedExchange, wanted: Wanted, **more: str) -> str:
    """A backfill to its good end; what it said."""
    return run(home, *wanted.arguments, **settings_of(served, **more))


def start_backfill(home: Path, served: ServedExchange, wanted: Wanted, **more: str) -> Command:
    """A backfill that goes on."""
    return start(home, *wanted.arguments, **settings_of(served, **more))


def kill_at(home: Path, served: ServedExchange, wanted: Wanted, point: Point) -> bool:
    """Start a backfill and kill it there; whether it came so far. A kill leaves no process of the home."""
    commits, requests = _commits(home) + point.commit, served.requests + point.request
    command = start_backfill(home, served, wanted)
    if point.request:
        served.on_request = lambda number: command.process.kill() if number == requests else None
    try:
        while command.process.poll() is None:
            if point.commit and _commits(home) >= commits:
                time.sleep(point.seconds)
                command.process.kill()
            time.sleep(0.005)
    finally:
        served.on_request = lambda number: None
        command.process.kill()
        code, _, err = command.finish()
    if code != -signal.SIGKILL:
        assert (code, err) == (0, ""), (code, err)
        return False
    assert left_behind(home) == []
    return True


def batter(home: Path, served: ServedExchange, *, seed: int, kills: int) -> list[tuple[Wanted, Point]]:
    """Kill backfills of one home so many times, or fewer when one came to the end of everything before.

    Returns:
        what was asked for, and where it was killed, of each kill.
    """
    draw = random.Random(seed)
    done: list[tuple[Wanted, Point]] = []
    while len(done) < kills:
        wanted, point = draw_wanted(draw), draw_point(draw)
        if kill_at(home, served, wanted, point):
            done.append((wanted, point))
        elif wanted == everything():
            break
    return done


def _commits(home: Path) -> int:
    return sum(1 for _ in (home / "lake").glob("*/_delta_log/*.json"))

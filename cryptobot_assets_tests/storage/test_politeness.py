"""Several processes at one exchange, over real sockets: what the exchange sees of them."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from cryptobot_assets.exchange.limits import Spent, WeightLimiter
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.weight import Budget
from cryptobot_assets.storage.weight_file import boot_seconds
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import START_MS, make_market

SPAWN = multiprocessing.get_context("spawn")
START = datetime.fromtimestamp(START_MS / 1000, UTC)
SPEED = 40.0
"""A minute of the fast clock, of exchange and clients alike, is a second and a half."""


def fast_seconds() -> float:
    return boot_seconds() * SPEED


@dataclass(frozen=True)
class Job:
    """Pages to read from an exchange, as a process of one machine, on the fast clock or the real one."""

    url: str
    machine: Path
    pages: int
    fast: bool = False

    def rows(self) -> int:
        """How many klines came."""
        speed = SPEED if self.fast else 1.0
        budget = Budget(self.url, directory=self.machine, seconds=fast_seconds if self.fast else boot_seconds)
        exchange = Exchange(self.url, budget=budget, sleep=lambda wait: time.sleep(wait / speed))
        span = exchange.klines("BTCUSDT", "1m", START, START + timedelta(minutes=1000 * self.pages))
        return sum(page.height for page in span)


def work(jobs: Connection) -> None:
    """Do jobs as they come."""
    for job in iter(jobs.recv, None):
        jobs.send(job.rows())


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Connection]]:
    """Three processes that read."""
    pipes = [SPAWN.Pipe() for _ in range(3)]
    processes = [SPAWN.Process(target=work, args=(theirs,), daemon=True) for _, theirs in pipes]
    for process in processes:
        process.start()
    yield [ours for ours, _ in pipes]
    for process in processes:
        process.kill()
        process.join()


def result(worker: Connection) -> int:
    """What a worker says of its job."""
    assert worker.poll(60), "it does not come to an end"
    return worker.recv()


class Logged(WeightLimiter):
    """Keeps when it was asked and what it said; bans for some seconds from the n-th request on, once."""

    def __init__(self, *, ban_at: int = 0, ban_seconds: int = 0, **options: object) -> None:
        super().__init__(**options)
        self.log: list[tuple[float, int]] = []
        self._ban_at = ban_at
        self._ban_seconds = ban_seconds

    def spend(self, address: str, weight: int) -> Spent:
        spent = super().spend(address, weight)
        if len(self.log) + 1 == self._ban_at:
            spent = Spent(spent.used, 418, self._ban_seconds)
        self.log.append((boot_seconds(), spent.status))
        return spent

    @property
    def refused(self) -> list[float]:
        return [at for at, status in self.log if status != 200]


def test_processes_that_want_more_than_there_is_are_never_refused(
    make_exchange: MakeExchange, workers: list[Connection], machine: Path
):
    """Three times 25 pages of weight 2 in minutes that bear 150."""
    limiter = Logged(per_minute=150, patience=0, seconds=fast_seconds)
    url = make_exchange(make_market(count=25_000), limiter=limiter)
    for worker in workers:
        worker.send(Job(url, machine, 25, fast=True))
    assert [result(worker) for worker in workers] == [25_000] * 3
    assert limiter.refused == []
    took = (limiter.log[-1][0] - limiter.log[0][0]) * SPEED
    assert took > 66, "they had to wait"


def test_a_ban_that_one_process_was_told_is_obeyed_by_all(
    make_exchange: MakeExchange, workers: list[Connection], machine: Path
):
    """The exchange hears of none of them before it is over."""
    limiter = Logged(ban_at=4, ban_seconds=2)
    url = make_exchange(make_market(count=3000), limiter=limiter)
    workers[0].send(Job(url, machine, 3))
    while not Budget(url).account().blocked_until:
        time.sleep(0.01)
    for worker in workers[1:]:
        worker.send(Job(url, machine, 3))
    assert [result(worker) for worker in workers] == [3000] * 3
    (banned,) = limiter.refused
    after = [at for at, _ in limiter.log if at > banned]
    assert min(after) >= banned + 2
    assert len(after) > 9

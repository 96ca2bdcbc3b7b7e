"""Several processes at one exchange, over real sockets: what the exchange sees of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from cryptobot_assets.exchange.limits import Spent, WeightLimiter
from cryptobot_assets.storage.weight import Budget
from cryptobot_assets.storage.weight_file import boot_seconds
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market
from cryptobot_assets_tests.storage.readers import SPEED, Job, fast_seconds, result, working


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Connection]]:
    """Three processes that read."""
    with working(3) as connections:
        yield connections


class Logged(WeightLimiter):
    """Keeps when it was asked and what it said; bans for some seconds at the n-th request, once.

    It never tells how much weight was used, so that nobody can do right by hearing of it.
    """

    def __init__(self, *, ban_at: int = 0, ban_seconds: int = 0, **options: object) -> None:
        super().__init__(**options)
        self.log: list[tuple[float, int]] = []
        self._ban_at = ban_at
        self._ban_seconds = ban_seconds

    def spend(self, address: str, weight: int) -> Spent:
        spent = replace(super().spend(address, weight), used=0)
        if len(self.log) + 1 == self._ban_at:
            spent = Spent(0, 418, self._ban_seconds)
        self.log.append((boot_seconds(), spent.status))
        return spent

    @property
    def refused(self) -> list[float]:
        return [at for at, status in self.log if status != 200]


def test_processes_that_want_more_than_there_is_are_never_refused(
    make_exchange: MakeExchange, workers: list[Connection], machine: Path
):
    """Three times 60 of weight, in minutes that bear 100."""
    limiter = Logged(per_minute=100, patience=0, seconds=fast_seconds)
    url = make_exchange(make_market(count=10), limiter=limiter)
    for worker in workers:
        worker.send(Job(url, machine, 40, fast=True))
    assert [result(worker) for worker in workers] == [41] * 3
    assert limiter.refused == []
    took = (limiter.log[-1][0] - limiter.log[0][0]) * SPEED
    assert took > 60, "they had to wait"


def test_a_ban_that_one_process_was_told_is_obeyed_by_all(
    make_exchange: MakeExchange, workers: list[Connection], machine: Path
):
    """The exchange hears of none of them before it is over."""
    limiter = Logged(ban_at=4, ban_seconds=2)
    url = make_exchange(make_market(count=10), limiter=limiter)
    workers[0].send(Job(url, machine, 5))
    while not Budget(url).account().blocked_until:
        time.sleep(0.01)
    for worker in workers[1:]:
        worker.send(Job(url, machine, 5))
    assert [result(worker) for worker in workers] == [6] * 3
    (banned,) = limiter.refused
    after = [at for at, _ in limiter.log if at > banned]
    assert min(after) >= banned + 2
    assert len(after) == 3 * 6 - 3

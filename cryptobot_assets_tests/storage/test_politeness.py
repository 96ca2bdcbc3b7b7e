"""Several processes at one exchange, over real sockets: what the exchange sees of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from cryptobot_assets.storage.weight import Budget
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market
from cryptobot_assets_tests.storage.limiters import Logged
from cryptobot_assets_tests.storage.readers import SPEED, Job, fast_seconds, result, working


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Connection]]:
    """Three processes that read."""
    with working(3) as connections:
        yield connections


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

"""Processes that read from an exchange, each as one of some machine's. Quick to import, for they are spawned."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.store import open_store_at
from cryptobot_assets.storage.weight import Budget
from cryptobot_assets.storage.weight_file import boot_seconds
from cryptobot_assets.storage.weight_machines import Machines

SPAWN = multiprocessing.get_context("spawn")
SPEED = 20.0
"""A minute of the fast clock, of exchange and clients alike, is three seconds."""


def fast_seconds() -> float:
    """The fast clock."""
    return boot_seconds() * SPEED


class OutOfTurn(Exception):
    """A request must wait, and whoever sends it does not want to."""


@dataclass(frozen=True)
class Job:
    """Requests of an exchange by a machine that may have others beside it.

    Attributes:
        count: of requests of weight 1, after one of 20 when `listing`.
        fast: by the fast clock.
        patient: wait for its turn, rather than end there.
        store: address of the one that the machines share.
    """

    url: str
    machine: Path
    count: int
    listing: bool = True
    fast: bool = False
    patient: bool = True
    store: str = ""

    def run(self) -> int:
        """How many answers came."""
        machines = Machines(lambda: open_store_at(self.store)) if self.store else None
        clock = fast_seconds if self.fast else boot_seconds
        budget = Budget(self.url, directory=self.machine, seconds=clock, machines=machines)
        exchange = Exchange(self.url, budget=budget, sleep=self._sleep)
        answered = 0
        try:
            for ask in [exchange.symbols] * self.listing + [exchange.server_time] * self.count:
                ask()
                answered += 1
        except OutOfTurn:
            pass
        return answered

    def _sleep(self, seconds: float) -> None:
        if not self.patient:
            raise OutOfTurn
        time.sleep(seconds / SPEED if self.fast else seconds)


def work(jobs: Connection) -> None:
    """Do jobs as they come."""
    for job in iter(jobs.recv, None):
        jobs.send(job.run())


@contextmanager
def working(count: int) -> Iterator[list[Connection]]:
    """So many processes, for the length of the block."""
    pipes = [SPAWN.Pipe() for _ in range(count)]
    processes = [SPAWN.Process(target=work, args=(theirs,), daemon=True) for _, theirs in pipes]
    for process in processes:
        process.start()
    try:
        yield [ours for ours, _ in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join()


def result(worker: Connection) -> int:
    """What a worker says of its job."""
    assert worker.poll(60), "it does not come to an end"
    return worker.recv()

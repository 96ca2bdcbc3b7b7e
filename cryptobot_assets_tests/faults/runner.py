"""Runs a schedule against a real lake and the real exchange server, and holds the store to the truth all along."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

from cryptobot_assets.errors import CryptobotError, StoreError
from cryptobot_assets.exchange.market import to_ms
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, KLINES, Table
from cryptobot_assets_tests.faults.checks import Known, Lost, Truth
from cryptobot_assets_tests.faults.ingestion import Aborted, Ingestion, Refused, open_book
from cryptobot_assets_tests.faults.schedules import AWAY, CUTS, IN_BETWEEN, Schedule, Step, draw_schedule
from cryptobot_assets_tests.faults.served import Requests, ServedExchange, VirtualTime, counted_faults
from cryptobot_assets_tests.faults.worlds import World

SPAWN = multiprocessing.get_context("spawn")
KILLED, FAILED = -9, 3
PROCESS_SECONDS = 120
MEMORY = Path("/dev/shm")
AGAIN = "python benchmarks/fault_schedules.py --schedules 1 --seed {seed} --kills {kills}"


@dataclass
class Outcome:
    """What became of a schedule whose rows all came right.

    Attributes:
        can_go_wrong: see `Schedule.names`.
        ends: how many ingestions were `done`, `failed` with one clear line, or `cut`.
        faults: what did go wrong, by name: modes of the exchange, and the rest of `Schedule.names` that came to pass.
        retries: pauses before another try.
    """

    seed: int
    interval: str
    can_go_wrong: frozenset[str]
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    requests: int = 0


class Broken(AssertionError):
    """A schedule after which rows are missing, doubled or wrong; the message tells how to repeat it."""


def run_seed(seed: int, *, kills: float) -> Outcome:
    """Draw the schedule of a seed (`kills` as for `draw_schedule`) and run it.

    Raises:
        Broken: a row is missing, doubled or changed after one of its steps, or something failed unclearly.
    """
    schedule = draw_schedule(seed, kills=kills)
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None, prefix="schedule-"))
    try:
        return Run(schedule, folder).run()
    except Exception as error:
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        raise Broken(f"seed {seed}: {kind}{error}; again: {AGAIN.format(seed=seed, kills=kills)}") from error
    finally:
        shutil.rmtree(folder)


@cache
def truth_of(world: World) -> Truth:
    """The truth of a world, read without any disturbance."""
    with tempfile.TemporaryDirectory() as folder:
        book = open_book(world, Path(folder))
        time = VirtualTime()
        step = Step(world.end)
        served = ServedExchange(world, step, 0, time)
        served.start()
        try:
            Ingestion(world, step, book, served.url, time, Requests(served.url)).run()
        finally:
            served.stop()
        klines = Lake(book.settings.lake_url).read(KLINES)
    assert klines.height == sum(
        (world.times(name) < to_ms(world.finished(world.end))).sum() for name in world.currencies
    )
    return Truth(world, book.partitions, klines)


@dataclass
class Run:
    """One schedule in a folder of its own."""

    schedule: Schedule
    folder: Path

    def __post_init__(self) -> None:
        self.world = self.schedule.world
        self.truth = truth_of(self.world)
        self.book = open_book(self.world, self.folder)
        self.known = Known()
        self.time = VirtualTime()
        self.outcome = Outcome(self.schedule.seed, self.world.interval, frozenset(self.schedule.names))

    def run(self) -> Outcome:
        """Every step, each followed by a look at the store; then an undisturbed one, after which all is right."""
        with counted_faults(self.outcome.faults):
            for number, step in enumerate(self.schedule.steps):
                self._step(step, number)
                self._check(f"after step {number + 1}")
        self._attempt(Step(self.world.end), 0)
        self._check("after an undisturbed run")
        for table in (KLINES, GAPS):
            self.known.wrote(table, self._all_keys(), self.world.finished(self.world.end))
        self._check("in the end")
        self.outcome.retries = self.time.sleeps
        return self.outcome

    def _check(self, when: str) -> None:
        try:
            self.truth.check(Lake(self.book.settings.lake_url), self.known)
        except Lost as error:
            raise Lost(f"{when}: {error}") from error

    def _step(self, step: Step, number: int) -> None:
        try:
            if step.cut is not None and step.cut.how == "kill":
                self._in_a_process(step, number)
            else:
                self._attempt(step, number)
            self.outcome.ends["done"] += 1
        except Aborted:
            self.outcome.ends["cut"] += 1
            self.outcome.faults[CUTS[step.cut.how]] += 1
        except CryptobotError as error:
            assert str(error) and "\n" not in str(error), f"not one clear line: {error!r}"
            self.outcome.ends["failed"] += 1
            self.outcome.faults[CUTS["refuse"]] += isinstance(error, Refused)

    def _attempt(self, step: Step, number: int) -> None:
        served = self._served(step, number)
        requests = Requests(served.url, served, step.away)
        try:
            Ingestion(
                self.world, step, self.book, served.url, self.time, requests,
                meanwhile=lambda: self._come_between(step.meanwhile[1], number + 100),
                wrote=lambda *what: self._wrote(step, *what),
            ).run()  # fmt: skip
        finally:
            self.outcome.requests += requests.count
            self.outcome.faults[AWAY] += requests.stops
            served.stop()

    def _come_between(self, step: Step, number: int) -> None:
        self.outcome.faults[IN_BETWEEN] += 1
        self._step(step, number)

    def _served(self, step: Step, number: int) -> ServedExchange:
        served = ServedExchange(self.world, step, 1000 * self.schedule.seed + number, self.time)
        served.start()
        return served

    def _wrote(self, step: Step, table: Table, currency: str, start: datetime, end: datetime) -> None:
        last = (end - timedelta(microseconds=1)).date()
        keys = (f"{currency}|{key}" for key in self.book.partitions.span_keys(start.date(), last))
        self.known.wrote(table, keys, known_at(self.world, step))

    def _all_keys(self) -> list[str]:
        days = self.book.partitions.span_keys(*self.world.days)
        return [f"{name}|{day}" for name in self.world.currencies for day in days]

    def _in_a_process(self, step: Step, number: int) -> None:
        served = self._served(step, number)
        tell, hear = SPAWN.Pipe()
        process = SPAWN.Process(
            target=ingest_alone,
            args=(self.schedule.seed, step, self.folder, self.book.done, served.url, self.time.seconds, tell),
        )
        process.start()
        tell.close()
        try:
            for what, keys in _heard(hear):
                self._changed(step, what, keys)
            process.join(PROCESS_SECONDS)
        finally:
            if process.is_alive():
                process.kill()
            served.stop()
        if process.exitcode == KILLED:
            raise Aborted
        if process.exitcode == FAILED:
            raise StoreError("a process of its own failed")
        assert process.exitcode == 0, f"a process of its own ended with {process.exitcode}"

    def _changed(self, step: Step, what: str, keys: list[str]) -> None:
        if what == "begun":
            self.book.done -= set(keys)
            self.known.may_have_written(keys, known_at(self.world, step))
        else:
            self.book.done |= set(keys)
            for table in (KLINES, GAPS):
                self.known.wrote(table, keys, known_at(self.world, step))


def known_at(world: World, step: Step) -> datetime:
    """First open time that a reader who trusts no clock too far takes for unfinished."""
    return world.finished(step.now + min(step.skew, timedelta()))


def _heard(hear: Connection) -> Iterator[tuple[str, list[str]]]:
    """What a process tells, until it ends."""
    while True:
        try:
            yield hear.recv()
        except (EOFError, ConnectionResetError):
            return


def ingest_alone(seed: int, step: Step, folder: Path, done: set[str], url: str, begun: float, tell: Connection) -> None:
    """A step in a process of its own, which ends itself with SIGKILL where the step says."""
    world = draw_schedule(seed, kills=0.0).world
    book = open_book(world, folder)
    book.done |= done
    try:
        Ingestion(
            world, step, book, url, VirtualTime(begun), Requests(url),
            changed=lambda what, keys: tell.send((what, list(keys))),
        ).run()  # fmt: skip
    except CryptobotError:
        sys.exit(FAILED)

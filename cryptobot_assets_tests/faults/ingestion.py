"""One step of a schedule, done: the platform's own way of reading and storing, cut where the step says."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import polars as pl

from cryptobot_assets.assets.market_data import ingest
from cryptobot_assets.assets.patience import Patience
from cryptobot_assets.cli.ranges import missing_ranges
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.errors import StoreError
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage import history as history_module
from cryptobot_assets.storage.archive import Archive
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.store import KLINES, Store, Table, open_store
from cryptobot_assets.storage.weight import Budget
from cryptobot_assets_tests.faults.schedules import PATIENCE, Cut, Step
from cryptobot_assets_tests.faults.served import Requests, VirtualTime
from cryptobot_assets_tests.faults.worlds import World

KeyRange = tuple[str, str]
Wrote = Callable[[Table, str, datetime, datetime], None]


class Aborted(BaseException):
    """Stands in for a kill: nothing may catch it and go on."""


class Refused(StoreError):
    """What a store says that refuses a write on purpose."""


class Inline(Executor):
    """Does what is submitted at once, so that requests come in one order."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def submit(self, work: Callable, /, *arguments: object, **named: object) -> Future:
        """The result, or the error, of doing it."""
        done: Future = Future()
        try:
            done.set_result(work(*arguments, **named))
        except Exception as error:
            done.set_exception(error)
        return done


@dataclass
class Book:
    """What Dagster would have on record, and the settings it would have it for.

    A partition whose newest run did not succeed is not materialized.
    """

    settings: Settings
    partitions: Partitions
    done: set[str] = field(default_factory=set)

    def materialized(self, asset: str) -> set[str]:
        """Partitions whose newest run succeeded."""
        return set(self.done)


def open_book(world: World, home: Path) -> Book:
    """An empty record."""
    settings = Settings.load(
        home=home,
        interval=world.interval,
        partition=world.partition,
        currencies=",".join(world.currencies),
        start_day=world.days[0],
        store_url=str(home / "lake"),
    )
    return Book(settings, Partitions(settings))


class FragileStore:
    """A store that an ingestion is cut at, or another one comes in between at."""

    def __init__(
        self,
        store: Store,
        cut: Cut | None = None,
        meanwhile: tuple[int, Callable[[], None]] | None = None,
        wrote: Wrote = lambda table, currency, start, end: None,
    ) -> None:
        self._store, self._cut, self._meanwhile, self._wrote = store, cut, meanwhile, wrote
        self._writes = 0
        self._span: tuple[datetime, datetime] | None = None

    def read(self, table: Table, **which: object) -> pl.DataFrame:
        """See `Store.read`."""
        return self._store.read(table, **which)

    def version(self, table: Table) -> str:
        """See `Store.version`."""
        return self._store.version(table)

    def replace(
        self,
        table: Table,
        rows: pl.DataFrame,
        *,
        start: datetime,
        end: datetime,
        currency: str | Sequence[str],
        **since: str,
    ) -> int:
        """See `Store.replace`."""
        self._writes += 1
        if self._meanwhile is not None and self._meanwhile[0] == self._writes:
            self._meanwhile[1]()
        self._end("before write")
        written = self._store.replace(table, rows, start=start, end=end, currency=currency, **since)
        if table is KLINES:
            self._span = (start, end)
        for name in [currency] if isinstance(currency, str) else currency:
            self._wrote(table, name, *self._span)
        self._end("after write")
        return written

    def _end(self, place: str) -> None:
        if self._cut is not None and (self._cut.place, self._cut.number) == (place, self._writes):
            end_here(self._cut)


def end_here(cut: Cut) -> None:
    """End the ingestion the way the cut says."""
    if cut.how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if cut.how == "refuse":
        raise Refused("cannot write to the store: no space left on device")
    raise Aborted


def wanted_ranges(world: World, step: Step, book: Book) -> list[KeyRange]:
    """The runs that a step asks for."""
    if step.scope == "newest":
        days = book.partitions.span_keys((step.now - DAY).date(), step.now.date())
        return [(f"{world.currencies[0]}|{days[0]}", f"{world.currencies[-1]}|{days[-1]}")]
    missing = missing_ranges(book, "klines", world.currencies, world.days[0], step.now.date())
    return [one.keys for one in missing]


def keys_of(world: World, book: Book, key_range: KeyRange) -> list[str]:
    """Every partition of a range: all of its currencies, over all of its days."""
    (name, first), (last_name, last) = (key.split("|") for key in key_range)
    names = world.currencies[world.currencies.index(name) : world.currencies.index(last_name) + 1]
    days = [key for key in book.partitions.span_keys(world.days[0], world.end.date()) if first <= key <= last]
    return [f"{name}|{day}" for name in names for day in days]


@dataclass
class Ingestion:
    """A step in this process."""

    world: World
    step: Step
    book: Book
    url: str
    time: VirtualTime
    requests: Requests
    meanwhile: Callable[[], None] | None = None
    wrote: Wrote = lambda table, currency, start, end: None
    changed: Callable[[str, Sequence[str]], None] = lambda what, keys: None

    def run(self) -> None:
        """Every run the step asks for; raises what the first that fails raises."""
        meanwhile = (self.step.meanwhile[0], self.meanwhile) if self.step.meanwhile and self.meanwhile else None
        store = FragileStore(open_store(self.book.settings), self.step.cut, meanwhile, self.wrote)
        with self.requests.watched(self._before_request), in_order():
            for key_range in wanted_ranges(self.world, self.step, self.book):
                keys = keys_of(self.world, self.book, key_range)
                self.book.done -= set(keys)
                self.changed("begun", keys)
                spans = self.book.partitions.spans_of(keys)
                self._ingest(spans, store)
                self.book.done |= set(keys)
                self.changed("done", keys)

    def _ingest(self, spans: Sequence[Span], store: FragileStore) -> None:
        patience = Patience(self.step.tries, 10.0, sleep=self.time.sleep, jitter=lambda: 0.5)
        log = logging.getLogger(__name__)
        for _ in ingest(self._history(), spans, self.world.interval, store, Silent(), patience, log):
            continue

    def _before_request(self, number: int) -> None:
        cut = self.step.cut
        if cut is not None and (cut.place, cut.number) == ("request", number):
            end_here(cut)

    def _history(self) -> History:
        budget = Budget(self.url, directory=self.book.settings.home, seconds=self.time.now)
        options = {
            "sleep": self.time.sleep, "timeout_seconds": PATIENCE[self.step.hang_seconds], "budget": budget
        }  # fmt: skip
        exchange = Exchange(self.url, expected_market="replay", **options)
        return History(exchange, Archive(self.url, **options) if self.step.archives else None)


@contextmanager
def in_order() -> Iterator[None]:
    """Have archive files read one after the other."""
    with patch.object(history_module, "ThreadPoolExecutor", Inline):
        yield

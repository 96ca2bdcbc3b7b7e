"""Machines that share a limit through the store they share: real stores, and what happens without them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import polars as pl
import pytest

from cryptobot_assets.errors import StoreError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.store import EXCHANGE_CLIENTS, Store, open_store_at
from cryptobot_assets.storage.weight import Budget
from cryptobot_assets.storage.weight_account import NEIGHBOUR_SECONDS, RENEWAL_SECONDS
from cryptobot_assets.storage.weight_machines import Machines, machines_of
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market
from cryptobot_assets_tests.storage.limiters import Logged
from cryptobot_assets_tests.storage.postgres_server import make_database
from cryptobot_assets_tests.storage.readers import Job, result, working
from cryptobot_assets_tests.storage.s3_server import s3_environment, s3_server
from cryptobot_assets_tests.storage.test_weight import Told, Watch

URL = "https://exchange.test"
NOON = "Wed, 01 Jan 2025 12:00:00 GMT"
LIMIT = [Told("REQUEST_WEIGHT", "MINUTE", 1, 100)]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "postgres") as server:
        yield server


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


class Machine:
    """One machine of a deployment, on a clock set by hand."""

    def __init__(self, directory: Path, open_store: Callable[[], Store], watch: Watch, **options: float) -> None:
        directory.mkdir()
        self.watch = watch
        self.machines = Machines(open_store, **options)
        self.budget = Budget(URL, directory=directory, seconds=watch, machines=self.machines)
        self.budget.learn(LIMIT)
        self.answered(0)

    def answered(self, used: int, date: str = NOON) -> None:
        """The exchange answers, and tells of its clock."""
        self.budget.hear({"X-MBX-USED-WEIGHT-1M": str(used), "Date": date})

    def talk(self) -> int:
        """Ask for a turn and let it hear of the others; how many machines it then counts."""
        self.budget.reserve(0)
        if self.machines._talk is not None:
            self.machines._talk.join()
        account = self.budget.account()
        return account.machines if account.machines_until > self.watch() else 1

    def usable(self) -> int:
        """How much it lets through at once, now that nothing was sent for long."""
        return sum(self.budget.reserve(1) is None for _ in range(100))


@pytest.fixture(params=["directory", "postgresql", "s3"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Store]:
    """Opens a store that several machines share."""
    if request.param == "postgresql":
        address = make_database(request.getfixturevalue("postgres"))
        return lambda: open_store_at(address)
    if request.param == "directory":
        return lambda: open_store_at(str(tmp_path / "lake"))
    endpoint = request.getfixturevalue("endpoint")
    for name, value in s3_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    return lambda: open_store_at(f"s3://bucket/{tmp_path.name}", s3_endpoint=endpoint)


@pytest.fixture
def watch() -> Watch:
    return Watch(1_000_000.0)


def test_machines_that_read_share_the_limit(opened: Callable[[], Store], watch: Watch, tmp_path: Path):
    first, second = (Machine(tmp_path / name, opened, watch) for name in ("first", "second"))
    assert (first.talk(), second.talk()) == (1, 2)
    watch.now += RENEWAL_SECONDS
    assert (first.talk(), second.talk()) == (2, 2)
    assert (first.usable(), second.usable()) == (45, 45)
    watch.now += RENEWAL_SECONDS
    assert first.talk() == 2
    rows = opened().read(EXCHANGE_CLIENTS)
    assert rows["exchange"].unique().to_list() == ["exchange.test:443"]
    assert rows["client"].n_unique() == rows.height == 2
    assert rows["blocked_until"].to_list() == [None, None]
    watch.now += NEIGHBOUR_SECONDS
    assert first.talk() == 1, "the second has said nothing for two minutes"
    assert first.usable() == 90


def test_a_ban_told_to_one_machine_is_obeyed_by_all(opened: Callable[[], Store], watch: Watch, tmp_path: Path):
    first, second = (Machine(tmp_path / name, opened, watch) for name in ("first", "second"))
    first.talk(), second.talk()
    first.budget.block(600, 418)
    first.talk()
    late = Machine(tmp_path / "late", opened, watch)
    assert late.budget.reserve(1).seconds == pytest.approx(600, abs=1), "before it is sent"
    watch.now += RENEWAL_SECONDS
    assert second.talk() == 3
    assert second.budget.reserve(1).status == 418
    for _ in range(5):
        watch.now += 60
        first.talk(), second.talk(), late.talk()
    waits = [one.budget.reserve(1).seconds for one in (first, second, late)]
    assert waits == pytest.approx([270] * 3, abs=1), "telling each other of it makes it no longer"
    watch.now += 271
    assert [one.budget.reserve(1) for one in (first, second, late)] == [None] * 3


def wait_for(true: Callable[[], bool]) -> None:
    """Until it is, for a minute at most."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_processes_of_two_machines_stay_within_the_limit(
    postgres: EmbeddedPostgres, make_exchange: MakeExchange, tmp_path: Path
):
    """Over real sockets, in minutes that bear 100, and the exchange does not tell how much is used."""
    limiter = Logged(per_minute=100, patience=0)
    url, store = make_exchange(make_market(count=10), limiter=limiter), make_database(postgres)
    machines = [tmp_path / name for name in ("first", "second")]
    budgets = [Budget(url, directory=directory) for directory in machines]
    with working(2) as workers:
        for count, (worker, directory) in enumerate(zip(workers, machines, strict=True), start=1):
            directory.mkdir()
            worker.send(Job(url, directory, 1, store=store))
            assert result(worker) == 2
            wait_for(lambda count=count: open_store_at(store).read(EXCHANGE_CLIENTS).height == count)
        with budgets[0].file.held() as (account, _):
            account.renewed_at -= RENEWAL_SECONDS
        workers[0].send(Job(url, machines[0], 1, listing=False, store=store))
        assert result(workers[0]) == 1
        wait_for(lambda: [budget.account().machines for budget in budgets] == [2, 2])
        for worker, directory in zip(workers, machines, strict=True):
            worker.send(Job(url, directory, 60, listing=False, patient=False, store=store))
        assert [result(worker) for worker in workers] == [45 - 22, 45 - 21]
    assert limiter.refused == []


@pytest.fixture
def lake(tmp_path: Path) -> Callable[[], Store]:
    return lambda: open_store_at(str(tmp_path / "lake"))


def test_a_row_is_renewed_by_one_process_of_a_machine_every_half_minute(lake, watch: Watch, tmp_path: Path):
    first = Machine(tmp_path / "first", lake, watch)
    other = Budget(URL, directory=tmp_path / "first", seconds=watch, machines=Machines(lake))
    versions = []
    for _ in range(120):
        first.talk()
        other.reserve(0)
        versions.append(lake().version(EXCHANGE_CLIENTS))
        watch.now += 1
    assert len(set(versions)) == 4


def test_clocks_of_machines_may_be_wrong(lake, tmp_path: Path):
    """The exchange's, which all of them see, is the one that counts."""
    early, late = Watch(50.0), Watch(9_000_000.0)
    first, second = Machine(tmp_path / "first", lake, early), Machine(tmp_path / "second", lake, late)
    first.talk()
    assert second.talk() == 2
    (seen,) = lake().read(EXCHANGE_CLIENTS)["time"].unique().to_list()
    assert seen == datetime(2025, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    for watch in (early, late):
        watch.now += 60
    third = Machine(tmp_path / "third", lake, Watch(0.0))
    third.answered(0, "Wed, 01 Jan 2025 12:03:00 GMT")
    assert third.talk() == 1


@pytest.mark.parametrize("wrong", [timedelta(0), timedelta(days=-400)])
def test_a_machine_that_asks_for_the_first_time_obeys_a_ban_told_to_others(
    lake, watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: timedelta
):
    """It has no clock of the exchange yet, and its own may be wrong."""
    present = datetime.now(UTC)
    told = present - timedelta(seconds=10)
    row = ("exchange.test:443", "other", told, told + timedelta(seconds=600))
    rows = pl.DataFrame([row], schema=EXCHANGE_CLIENTS.schema, orient="row")
    lake().replace(EXCHANGE_CLIENTS, rows, start=None, end=None)
    monkeypatch.setattr(time, "time", lambda: (present + wrong).timestamp())
    first = Budget(URL, directory=tmp_path, seconds=watch, machines=Machines(lake))
    assert first.reserve(1).seconds == pytest.approx(600 if wrong else 590, abs=1)
    assert lake().read(EXCHANGE_CLIENTS).equals(rows), "and it says nothing by a clock that may be wrong"


def test_what_comes_up_while_a_machine_talks_is_told_next(lake, watch: Watch, tmp_path: Path):
    began, go_on = threading.Event(), threading.Event()

    class Slow:
        """A store whose first write takes its time."""

        def __getattr__(self, name: str) -> object:
            if name == "replace" and not began.is_set():
                began.set()
                go_on.wait(60)
            return getattr(lake(), name)

    first = Machine(tmp_path / "first", Slow, watch, patience_seconds=0.01)
    assert first.budget.reserve(1) is None
    began.wait(60)
    first.budget.block(600, 418)
    assert first.budget.reserve(1).seconds == 600
    go_on.set()
    first.machines._talk.join()
    (until,) = lake().read(EXCHANGE_CLIENTS)["blocked_until"]
    assert until - datetime(2025, 1, 1, 12, tzinfo=UTC) == timedelta(seconds=600.5)


def test_rows_of_machines_long_gone_are_removed(lake, watch: Watch, tmp_path: Path):
    here = datetime(2025, 1, 1, 12, tzinfo=UTC)
    ages = {"yesterday": 1, "banned": 3, "long ago": 5}
    gone = [
        {"exchange": "exchange.test:443", "client": name, "time": here - timedelta(days=age)}
        for name, age in ages.items()
    ]
    gone.append({"exchange": "else.test:443", "client": "long ago", "time": here - timedelta(days=9)})
    rows = pl.DataFrame(gone, schema=EXCHANGE_CLIENTS.schema)
    lake().replace(EXCHANGE_CLIENTS, rows, start=None, end=None)
    assert Machine(tmp_path / "first", lake, watch).talk() == 1
    left = lake().read(EXCHANGE_CLIENTS).filter(pl.col("time") < here - timedelta(hours=1))
    assert left.select("exchange", "client").rows() == [
        ("else.test:443", "long ago"),
        ("exchange.test:443", "banned"),
        ("exchange.test:443", "yesterday"),
    ]


def test_a_store_that_is_away_is_told_once_and_stops_nobody(
    watch: Watch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with closing(create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    address = f"postgresql://me@127.0.0.1:{port}/nothing?sslmode=disable"
    first = Machine(tmp_path / "first", lambda: open_store_at(address), watch)
    with caplog.at_level(logging.WARNING, "cryptobot_assets"):
        for _ in range(3):
            assert first.talk() == 1
            watch.now += RENEWAL_SECONDS
    assert first.usable() == 90
    (line,) = caplog.messages
    assert line.startswith("request weight is counted for this machine alone: the store at 127.0.0.1")


def test_a_machine_that_loses_the_store_counts_alone_after_two_minutes(lake, watch: Watch, tmp_path: Path):
    away = threading.Event()

    class Leaving:
        """A store that goes away."""

        def __getattr__(self, name: str) -> object:
            if away.is_set():
                raise StoreError("gone")
            return getattr(lake(), name)

    first, second = Machine(tmp_path / "first", Leaving, watch), Machine(tmp_path / "second", lake, watch)
    second.talk()
    assert first.talk() == 2
    away.set()
    watch.now += RENEWAL_SECONDS
    assert first.talk() == 2
    watch.now += NEIGHBOUR_SECONDS
    assert first.talk() == 1


def test_a_store_that_does_not_answer_is_waited_for_once_and_not_for_long(watch: Watch, tmp_path: Path):
    answer = threading.Event()
    opened = []

    def open_store() -> Store:
        opened.append(watch.now)
        answer.wait(60)
        raise StoreError("too late")

    first = Machine(tmp_path / "first", open_store, watch, patience_seconds=0.2)
    began = time.monotonic()
    for _ in range(50):
        assert first.budget.reserve(1) is None
        watch.now += RENEWAL_SECONDS
    assert time.monotonic() - began < 9
    assert opened == [1_000_000.0]
    answer.set()
    first.machines._talk.join()


def test_only_a_store_that_machines_can_share_is_asked(tmp_path: Path):
    def machines(url: str) -> Machines | None:
        return machines_of(Settings.load(home=tmp_path, store_url=url))

    assert machines("") is None
    assert machines(str(tmp_path / "lake")) is None
    assert isinstance(machines("s3://bucket/lake"), Machines)
    assert isinstance(machines("postgresql://host/database"), Machines)

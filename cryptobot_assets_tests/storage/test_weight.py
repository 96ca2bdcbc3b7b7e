"""The budget that processes share: real files, real processes, whatever happens to either."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from cryptobot_assets.errors import UsageError
from cryptobot_assets.storage import weight_file
from cryptobot_assets.storage.weight import Budget, answer_time, retry_after_seconds
from cryptobot_assets.storage.weight_file import boot_seconds

SPAWN = multiprocessing.get_context("spawn")
URL = "http://exchange.test:8080"
NOON = "Wed, 01 Jan 2025 12:00:00 GMT"


@dataclass(frozen=True)
class Told:
    """One of the exchange's limits."""

    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int


class Watch:
    """A clock that is set by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def budget(limit: int = 100, watch: Watch | None = None, url: str = URL) -> Budget:
    made = Budget(url, seconds=watch or Watch())
    made.learn([Told("REQUEST_WEIGHT", "MINUTE", 1, limit)])
    return made


def spend(directory: str, count: int, done: Connection) -> None:
    """Reserve 2 as often as the share lets this process; says how often that was."""
    one = Budget(URL, directory=Path(directory), seconds=Watch())
    done.send(sum(one.reserve(2) is None for _ in range(count)))


def hold(directory: str, ready: Connection) -> None:
    """Take the account and never give it back."""
    with Budget(URL, directory=Path(directory)).file.held():
        ready.send(True)
        signal.pause()


def test_processes_together_stay_within_the_share(machine: Path):
    budget(1000)
    pipes = [SPAWN.Pipe() for _ in range(3)]
    processes = [SPAWN.Process(target=spend, args=(str(machine), 300, theirs)) for _, theirs in pipes]
    for process in processes:
        process.start()
    taken = [ours.recv() for ours, _ in pipes]
    for process in processes:
        process.join()
    assert sum(taken) == 450
    assert Budget(URL, seconds=Watch()).account().sent == [(1000, 900)]


def test_a_killed_process_blocks_nobody(machine: Path):
    budget(100)
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=hold, args=(str(machine), theirs))
    process.start()
    assert ours.recv()
    (path,) = machine.iterdir()
    with path.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert Budget(URL).reserve(2) is None


@pytest.mark.parametrize("content", [b"", b"{", b"null\n", b"\0" * 4096, b'{"client": 3}\n', b"\xff" * 100, b"[]"])
def test_a_file_that_says_nothing_is_begun_anew(machine: Path, content: bytes):
    one = budget(100)
    one.block(60, 418)
    (path,) = machine.iterdir()
    path.write_bytes(content)
    assert one.reserve(2) is None
    assert not one.knows_limit()
    assert one.account().sent == [(1000, 2)]


def test_what_was_longer_before_leaves_nothing_behind():
    watch = Watch()
    one = budget(10_000, watch)
    for _ in range(60):
        watch.now += 1
        assert one.reserve(100) is None
    watch.now += 100
    assert one.reserve(1) is None
    assert one.account().sent == [(1160, 1)]


def test_a_machine_that_started_again_begins_anew():
    budget(100, Watch(5000.0)).block(3600, 418)
    assert Budget(URL, seconds=Watch(10.0)).reserve(2) is None


def test_a_wait_asked_of_one_process_holds_for_every_other_and_for_this_address_alone():
    watch = Watch()
    budget(100, watch).block(120, 418)
    wait = Budget(URL.replace("http:", "HTTP:") + "/", seconds=watch).reserve(2)
    assert (wait.seconds, wait.status) == (120, 418)
    assert Budget("http://exchange.test:8081", seconds=watch).reserve(2) is None
    assert Budget("http://else.test:8080", seconds=watch).reserve(2) is None
    watch.now += 120
    assert Budget(URL, seconds=watch).reserve(2) is None


def test_the_machines_own_clock_is_never_asked(monkeypatch: pytest.MonkeyPatch):
    """Set back or forward by a day, in the middle of a ban too."""
    one = Budget(URL)
    one.block(600, 418)
    now = time.time()
    for wrong in (-86_400, 86_400):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: now + wrong)
        assert 590 < one.reserve(2).seconds <= 600
    assert boot_seconds() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)


@pytest.mark.parametrize(
    ("limits", "usable"),
    [
        ([Told("REQUEST_WEIGHT", "MINUTE", 1, 6000)], 5400),
        ([Told("REQUEST_WEIGHT", "MINUTE", 2, 6000)], 2700),
        ([Told("REQUEST_WEIGHT", "MINUTE", 1, 6000), Told("RAW_REQUESTS", "MINUTE", 5, 61_000)], 5400),
        ([Told("REQUEST_WEIGHT", "MINUTE", 1, 6000), Told("RAW_REQUESTS", "MINUTE", 5, 5000)], 900),
        ([Told("REQUEST_WEIGHT", "SECOND", 1, 20), Told("ORDERS", "DAY", 1, 1)], 1080),
        ([Told("REQUEST_WEIGHT", "FORTNIGHT", 1, 20)], 1080),
        ([], 1080),
    ],
)
def test_the_strictest_of_the_limits_told_holds(limits: list[Told], usable: int):
    one = Budget(URL, seconds=Watch())
    assert not one.knows_limit()
    one.learn(limits)
    assert one.knows_limit()
    assert one.reserve(usable) is None
    assert one.reserve(1).status is None


def test_a_limit_is_asked_for_again_after_an_hour():
    watch = Watch()
    one = budget(100, watch)
    watch.now += 3599
    assert one.knows_limit()
    watch.now += 1
    assert not one.knows_limit()


def test_headers_set_the_count_right():
    one = budget(100)
    one.hear({"X-MBX-USED-WEIGHT-1M": "89", "Date": NOON})
    assert one.reserve(1) is None
    wait = one.reserve(1)
    assert (wait.seconds, wait.status) == (60, None)


@pytest.mark.parametrize("headers", [{}, {"Date": NOON}, {"X-MBX-USED-WEIGHT-1M": "many"}])
def test_headers_that_do_not_tell_of_weight_change_nothing(headers: Mapping[str, str]):
    one = budget(100)
    before = one.account()
    one.hear(headers)
    assert one.account() == before


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("137", 137.0),
        ("0", 1.0),
        ("", 1.0),
        ("soon", 1.0),
        ("-5", 1.0),
        ("Wed, 01 Jan 2025 12:02:00 GMT", 120.0),
        ("Wed, 01 Jan 2025 11:00:00 GMT", 1.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float):
    assert retry_after_seconds({"Retry-After": text, "Date": NOON}) == seconds


def test_a_date_that_cannot_be_read_is_none():
    assert answer_time({"Date": NOON}) == datetime(2025, 1, 1, 12, tzinfo=UTC)
    assert answer_time({"Date": "today"}) is None
    assert answer_time({}) is None


# The directory


def test_files_of_addresses_that_nobody_asks_any_more_are_removed(machine: Path):
    """Thousands of short-lived servers leave a few files, not thousands; a ban is remembered."""
    watch = Watch()
    for port in range(40):
        budget(100, watch, f"http://127.0.0.1:{port + 1}")
    budget(100, watch, "http://banned.test").block(3600, 418)
    for path in machine.iterdir():
        os.utime(path, (time.time() - 100,) * 2)
    watch.now += 119
    budget(100, watch, "http://127.0.0.1:9001")
    assert len(list(machine.iterdir())) == 42
    watch.now += 1
    budget(100, watch, "http://127.0.0.1:9002")
    assert sorted(path.name for path in machine.iterdir()) == [
        "127.0.0.1_9001.json",
        "127.0.0.1_9002.json",
        "banned.test_80.json",
    ]


def test_a_file_removed_while_another_waits_for_it_is_made_again(machine: Path):
    one = budget(100)
    (path,) = machine.iterdir()
    with one.file.held():
        path.unlink()
        assert Budget(URL, seconds=Watch()).reserve(2) is None
    assert Budget(URL, seconds=Watch()).account().sent == [(1000, 2)]


@pytest.mark.usefixtures("machine")
def test_the_directory_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    memory, temporary = tmp_path / "memory", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(weight_file, "MEMORY", memory)
    monkeypatch.setattr(weight_file.tempfile, "gettempdir", lambda: str(temporary))
    name = f"cryptobot-{os.getuid()}"
    assert weight_file.machine_directory() == temporary / name, "there is no place in memory"
    memory.mkdir()
    assert weight_file.machine_directory() == memory / name
    assert (memory / name).stat().st_mode & 0o777 == 0o700
    for place in (memory, temporary):
        (place / name).rmdir()
        (place / name).symlink_to(tmp_path)
    with pytest.raises(UsageError, match="set TMPDIR"):
        weight_file.machine_directory()


def test_a_directory_that_fails_is_told(machine: Path):
    one = budget(100)
    (path,) = machine.iterdir()
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="where request weight is counted, fails: Is a directory"):
        one.reserve(1)

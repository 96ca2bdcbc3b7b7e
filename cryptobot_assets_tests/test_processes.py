"""Supervised programs: ready when told, noticed when dead, and never outliving their supervisor."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cryptobot_assets.errors import ProcessError, UsageError
from cryptobot_assets.processes import Supervisor, free_port, require_free_port

ROOT = Path(__file__).parents[1]
# Deaf to SIGTERM, with a child, and a daemon that forked twice into a session of its own.
STUBBORN_TREE = """
trap '' TERM
(setsid sh -c 'sleep $0 & sleep $0; :' $0 &)
sleep $0 &
echo tree is up
while :; do sleep 1; done
"""
SUPERVISOR = """
import re, sys
from pathlib import Path
from cryptobot_assets.processes import Supervisor
log, mark, script = sys.argv[1:]
with Supervisor() as programs:
    programs.start("tree", ["sh", "-c", script, mark], log_path=Path(log), grace_seconds=0.3,
                   ready=re.compile("tree is up"))
    try:
        print("up", flush=True)
        programs.wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def marked(mark: str) -> list[psutil.Process]:
    """Living processes with `mark` among their arguments."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and mark in (process.info["cmdline"] or [])
    ]


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def mark() -> Iterator[str]:
    name = f"300.{uuid.uuid4().int}"  # also a time that sleep takes
    yield name
    for process in marked(name):
        process.kill()


@pytest.fixture
def programs() -> Iterator[Supervisor]:
    with Supervisor() as supervisor:
        yield supervisor


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


@pytest.fixture
def start_supervisor(tmp_path: Path, mark: str) -> Iterator[Callable[..., subprocess.Popen]]:
    started: list[subprocess.Popen] = []

    def start(*prefix: str) -> subprocess.Popen:
        command = [*prefix, sys.executable, "-c", SUPERVISOR, str(tmp_path / "log"), mark, STUBBORN_TREE]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_killed_supervisor_leaves_no_descendant(start_supervisor: Callable, mark: str) -> None:
    supervisor = start_supervisor()
    wait_until(lambda: len(marked(mark)) == 7)
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: marked(mark) == [])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_everything_and_then_the_supervisor(
    start_supervisor: Callable, mark: str, signum: signal.Signals
) -> None:
    supervisor = start_supervisor()
    supervisor.send_signal(signum)
    assert supervisor.communicate(timeout=60)[0] == "interrupted\n"
    assert supervisor.returncode == 0
    assert marked(mark) == []


def test_started_with_interrupts_ignored_it_still_obeys_them(start_supervisor: Callable, mark: str) -> None:
    supervisor = start_supervisor("sh", "-c", 'trap "" INT QUIT; exec "$@"', "sh")
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.communicate(timeout=60)[0] == "interrupted\n"
    assert marked(mark) == []


def test_killed_guard_takes_its_child_down(programs: Supervisor, tmp_path: Path, mark: str) -> None:
    child = programs.start("sleeper", ["sh", "-c", "sleep $0; :", mark], log_path=tmp_path / "log")
    wait_until(lambda: len(marked(mark)) == 3)
    child.guard.kill()
    wait_until(lambda: programs.poll() == ("sleeper",))
    assert marked(mark) == []


def test_ends_in_reverse_order_of_start(tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = f"trap 'echo $0 >> {order}; exit' TERM; echo ready; while :; do sleep 0.05; done"
    with Supervisor() as programs:
        for name in ("first", "second", "third"):
            programs.start(
                name, ["sh", "-c", script, name], log_path=tmp_path / name, ready=re.compile("^ready$", re.MULTILINE)
            )
    assert order.read_text().split() == ["third", "second", "first"]


def test_ready_when_the_address_answers(programs: Supervisor, tmp_path: Path) -> None:
    port = free_port()
    waited: list[float] = []
    programs.start(
        "pages", [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], cwd=tmp_path,
        log_path=tmp_path / "pages.log", ready=f"http://127.0.0.1:{port}/", on_wait=waited.append,
    )  # fmt: skip
    assert waited == sorted(waited) != []
    assert programs.poll() == ()
    programs.stop("pages")
    assert require_free_port(port, "pages") == port


def test_child_has_exactly_the_environment_given(programs: Supervisor, tmp_path: Path) -> None:
    child = programs.start(
        "env", ["/usr/bin/env"], env={"ONE": "1"}, log_path=tmp_path / "log", ready=re.compile("ONE=1")
    )
    assert set(child.output().splitlines()) <= {"ONE=1", "LC_CTYPE=C.UTF-8"}


def test_failing_to_start_names_the_last_line_and_the_log(programs: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "broken.log"
    code = "import sys; print('one'); sys.exit('no such database')"
    with pytest.raises(ProcessError) as caught:
        programs.start("the broken one", python(code), log_path=log, ready=re.compile("never"))
    expected = f"the broken one ended with exit code 1 before it was ready: no such database (log: {log})"
    assert str(caught.value) == expected
    assert caught.value.__notes__[0].splitlines() == ["one", "no such database"]
    assert programs.poll() == ()


def test_absent_program_is_one_clear_line(programs: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"before it was ready: .*no-such-program.*\(log: "):
        programs.start("absent", ["no-such-program"], log_path=tmp_path / "log", ready=re.compile("never"))


def test_not_ready_in_time_is_ended(programs: Supervisor, tmp_path: Path, mark: str) -> None:
    with pytest.raises(ProcessError, match=r"slow was not ready in 0 s: still thinking \(log: "):
        programs.start(
            "slow", ["sh", "-c", "echo still thinking; sleep $0; :", mark], log_path=tmp_path / "log",
            ready=re.compile("done"), timeout_seconds=0.4,
        )  # fmt: skip
    assert marked(mark) == []


def test_death_is_noticed_with_its_exit_code(programs: Supervisor, tmp_path: Path, mark: str) -> None:
    programs.start("steady", ["sleep", "300"], log_path=tmp_path / "steady")
    script = "setsid sleep $0 & sleep $0 & echo oh no; exit 3"
    programs.start("doomed", ["sh", "-c", script, mark], log_path=tmp_path / "doomed")
    with pytest.raises(ProcessError, match=r"^doomed ended with exit code 3: oh no"):
        programs.wait()
    assert programs.poll() == ("doomed",)
    assert marked(mark) == []


def test_log_of_the_run_before_is_kept(programs: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("old", "new"):
        programs.start("echo", ["echo", word], log_path=log, ready=re.compile(word))
    assert (log.read_text(), log.with_name("log.1").read_text()) == ("new\n", "old\n")


def test_adopted_dead_are_buried(programs: Supervisor, tmp_path: Path) -> None:
    child = programs.start(
        "orphans", ["sh", "-c", "(sleep 0.1 &); (sleep 0.1 &); sleep 300"], log_path=tmp_path / "log"
    )
    guard = psutil.Process(child.guard.pid)
    wait_until(lambda: len(guard.children(recursive=True)) == 4)
    wait_until(lambda: len(guard.children(recursive=True)) == 2)
    assert all(process.status() != psutil.STATUS_ZOMBIE for process in guard.children(recursive=True))


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_port_in_use_is_one_clear_line(address: str) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(UsageError) as caught:
            require_free_port(port, "the prediction service", setting="CRYPTOBOT_SERVICE_PORT")
    assert str(caught.value) == (
        f"port {port} is in use, the prediction service cannot listen on it; set CRYPTOBOT_SERVICE_PORT to another"
    )


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_no_port_is_bad_usage(port: int) -> None:
    with pytest.raises(UsageError, match="not between 1 and 65535"):
        require_free_port(port, "x")


def test_free_port_can_be_listened_on() -> None:
    assert require_free_port(free_port(), "x") > 0

"""The parent of one supervised child, whose end ends everything the child ever started.

Arguments: PIPE GRACE_SECONDS COMMAND...; started by `processes`.

    supervisor --pipe--> guard --> child --> workers, their workers, daemons ...

PIPE is the reading end of a pipe whose only writing end is the supervisor's. It closes when the
supervisor says stop and also when it dies of anything, `kill -9` included. The guard adopts every
orphan below it, so nothing escapes by forking twice or by opening a session of its own.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from cryptobot_assets.linux import adopt_orphans, die_with_parent

STRAGGLER_SECONDS = 2.0
POLL_SECONDS = 0.1
RESET_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def run(pipe: int, grace_seconds: float, command: list[str]) -> int:
    """Run `command` until it ends or the pipe closes, leave nothing of it, and return its exit code."""
    asked_to_stop: list[int] = []
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda number, _: asked_to_stop.append(number))
    adopt_orphans()
    child = subprocess.Popen(command, process_group=0, preexec_fn=_become_child)  # noqa: PLW1509 it has one thread
    while child.poll() is None and not asked_to_stop:
        if select.select([pipe], [], [], POLL_SECONDS)[0]:
            break
        _reap_adopted(child.pid)
    _end(child, grace_seconds)
    return child.returncode


def _become_child() -> None:
    """A shell starting things with `&` makes them ignore Ctrl-C, and that would be inherited."""
    for signum in RESET_SIGNALS:
        signal.signal(signum, signal.SIG_DFL)
    die_with_parent(signal.SIGTERM)


def _end(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """SIGTERM to the child's group, time to end; the same for who is left; then SIGKILL to all."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        _wait(lambda: child.poll() is not None, grace_seconds)
    for process in _descendants():
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _wait(lambda: not _descendants(), min(grace_seconds, STRAGGLER_SECONDS))
    while remaining := _descendants():
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(POLL_SECONDS)
    child.wait()


def _wait(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _descendants() -> list[psutil.Process]:
    """Every living process below this one."""
    alive = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def _reap_adopted(child: int) -> None:
    """Bury adopted processes that ended; the child's own exit code is left to be read."""
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == child:
                return
            os.waitpid(ended.si_pid, 0)


def main() -> int:
    """Exit as the command did, 128 and the number of the signal that ended it."""
    code = run(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
    return 128 - code if code < 0 else code

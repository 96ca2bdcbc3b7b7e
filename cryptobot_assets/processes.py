"""Other programs run by a command: started, waited for, watched and ended as one.

Every child runs below a guard of its own (`process_guard`), in a session of its own: Ctrl-C in
the terminal reaches this process only, which then ends them in reverse order of their start; and
if this process is killed outright, the guards still end everything.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import psutil
import requests

import cryptobot_assets
from cryptobot_assets.errors import ProcessError, UsageError

PACKAGE_ROOT = Path(cryptobot_assets.__file__).parents[1]
# Found from any directory and without touching the PYTHONPATH the child will inherit.
GUARD_CODE = (
    f"import sys; sys.path.append({str(PACKAGE_ROOT)!r}); "
    "from cryptobot_assets.process_guard import main; sys.exit(main())"
)
POLL_SECONDS = 0.1
KILL_MARGIN_SECONDS = 10.0
TAIL_LINES = 15
Ready = str | re.Pattern[str] | Callable[[], bool] | None
Handler = Callable[[int, FrameType | None], Any] | int | None
"""What `signal.signal` takes and gives."""


@dataclass(frozen=True)
class Child:
    """A supervised program: its guard's process, the pipe that keeps it alive, and its log of this run."""

    name: str
    guard: subprocess.Popen[bytes]
    lifeline: int
    log_path: Path
    grace_seconds: float

    def is_alive(self) -> bool:
        """Whether it runs; what a guard killed outright could not end any more is ended here."""
        if self.guard.poll() is None:
            return True
        if self.guard.returncode < 0:
            _kill_session(self.guard.pid)
        return False

    def output(self) -> str:
        """What it has written to its standard output and error."""
        return self.log_path.read_text(errors="replace")

    def is_ready(self, ready: Ready) -> bool:
        match ready:
            case None:
                return True
            case str():
                return answers(ready)
            case re.Pattern():
                return ready.search(self.output()) is not None
        return ready()

    def failure(self, what: str) -> ProcessError:
        """An error of one line; the log's last lines come along as its note."""
        lines = [line.rstrip() for line in self.output().splitlines() if line.strip()]
        last = lines[-1].strip() if lines else "it wrote nothing"
        message = f"{self.name} {what}: {last} (log: {self.log_path})"
        error = ProcessError(message, exit_code=self.guard.poll(), said=last)
        error.add_note("\n".join(lines[-TAIL_LINES:]))
        return error

    def stop(self) -> None:
        """End it and everything it started: SIGTERM, `grace_seconds` to comply, SIGKILL."""
        os.close(self.lifeline)
        try:
            self.guard.wait(self.grace_seconds + KILL_MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.guard.kill()
            self.guard.wait()
        self.is_alive()


class Supervisor:
    """Programs that live no longer than this block.

    Inside the block SIGTERM and SIGHUP end it as Ctrl-C does (`KeyboardInterrupt`). Use it from
    the main thread.

    >>> with Supervisor() as programs:  # doctest: +SKIP
    ...     programs.start("MLflow", [...], log_path=logs / "mlflow.log", ready="http://127.0.0.1:5000/health")
    ...     programs.wait()
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._handlers: dict[int, Handler] = {}

    def __enter__(self) -> Supervisor:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._handlers[signum] = signal.signal(signum, _interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum in self._handlers:
            signal.signal(signum, signal.SIG_IGN)  # a second Ctrl-C must not cut the ending short
        try:
            self.stop()
        finally:
            for signum, handler in self._handlers.items():
                signal.signal(signum, handler)
            self._handlers.clear()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ready: Ready = None,
        timeout_seconds: float = 120.0,
        grace_seconds: float = 10.0,
        on_wait: Callable[[float], None] | None = None,
    ) -> Child:
        """Start a program and return when it is ready.

        `ready` is a URL that must answer with a status below 400, a pattern its output must show,
        or a function. `env` is the whole environment (default: ours). `on_wait` is called about
        ten times a second with the seconds waited so far. The log of the run before is kept as
        `<log>.1`.

        Raises:
            ProcessError: it ended, or was not ready in time; its log's last line and path are in
                the message, the last lines in the note. It is ended then.
        """
        child = self._launch(name, argv, log_path, os.environ if env is None else env, cwd, grace_seconds)
        self._children.append(child)
        started = time.monotonic()
        try:
            while not child.is_ready(ready):
                waited = time.monotonic() - started
                if not child.is_alive():
                    raise child.failure(f"ended with exit code {child.guard.returncode} before it was ready")
                if waited > timeout_seconds:
                    raise child.failure(f"was not ready in {timeout_seconds:.0f} s")
                if on_wait is not None:
                    on_wait(waited)
                time.sleep(POLL_SECONDS)
        except ProcessError:
            self._children.remove(child)
            child.stop()
            raise
        return child

    def poll(self) -> tuple[str, ...]:
        """Names of the programs that have ended by themselves."""
        return tuple(child.name for child in self._children if not child.is_alive())

    def wait(self, *, on_wait: Callable[[], None] | None = None) -> None:
        """Stay until Ctrl-C or SIGTERM (`KeyboardInterrupt`).

        Raises:
            ProcessError: a program ended by itself.
        """
        while True:
            for child in self._children:
                if not child.is_alive():
                    raise child.failure(f"ended with exit code {child.guard.returncode}")
            if on_wait is not None:
                on_wait()
            time.sleep(POLL_SECONDS)

    def stop(self, name: str | None = None) -> None:
        """End the program of that name, or all of them, the last started first."""
        for child in reversed([child for child in self._children if name in (None, child.name)]):
            self._children.remove(child)
            child.stop()

    def _launch(
        self, name: str, argv: Sequence[str | Path], log_path: Path, env: Mapping[str, str], cwd: Path | None,
        grace_seconds: float,
    ) -> Child:  # fmt: skip
        log_path.parent.mkdir(parents=True, exist_ok=True)
        if log_path.exists():
            log_path.replace(log_path.with_name(log_path.name + ".1"))
        reading, writing = os.pipe()
        try:
            with log_path.open("wb") as log:
                guard = subprocess.Popen(
                    [sys.executable, "-P", "-c", GUARD_CODE, str(reading), str(grace_seconds), *map(str, argv)],
                    env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[reading],
                )  # fmt: skip
        finally:
            os.close(reading)
        return Child(name, guard, writing, log_path, grace_seconds)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _kill_session(session: int) -> None:
    """SIGKILL to every process of a session, until there is none."""
    while members := [pid for pid in psutil.pids() if _session_of(pid) == session]:
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _session_of(pid: int) -> int | None:
    """The session of a living process; a zombie has none that matters."""
    try:
        alive = psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        return os.getsid(pid) if alive else None
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None


def answers(url: str) -> bool:
    """Whether `url` answers now with a status below 400 (proxies of the environment are not asked)."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=5).status_code < 400
        except requests.RequestException:
            return False


def free_port() -> int:
    """A TCP port of this machine nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free_port(port: int, name: str, *, setting: str | None = None) -> int:
    """The port, free for the program `name` to listen on.

    Raises:
        UsageError: it is taken, reserved or no port; `setting` is the variable to change.
    """
    advice = f"; set {setting} to another" if setting else "; choose another"
    if not 0 < port < 65536:
        raise UsageError(f"port {port} for {name} is not between 1 and 65535{advice}")
    for address in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 tried for a moment, nobody is listened to
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except PermissionError as error:
                raise UsageError(f"port {port} for {name} is reserved for root{advice}") from error
            except OSError as error:
                raise UsageError(f"port {port} is in use, {name} cannot listen on it{advice}") from error
    return port

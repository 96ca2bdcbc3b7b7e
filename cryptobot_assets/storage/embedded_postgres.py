"""A PostgreSQL of our own for Dagster's and MLflow's bookkeeping, shared by all commands on one home.

Nobody administers it: the first process that asks starts it, any number of processes share it,
and it stops when the last one has left, however it left. Its data, log and socket lie in one
directory of the home, so that moving or deleting the home moves or deletes all of it.

There is no TCP port and no password: the Unix socket lies in a directory only the server's
account (and root) may enter. So the addresses hold no secret and never change.

Running as root, see `postgres_program`: the server is another user, who usually may not walk the
path to the home (`/root`, pytest's directories: mode 700). The guard, who may, opens the
directories and hands them over; PostgreSQL reaches them as `/proc/self/fd/N`. Data thus never
leaves the home and no directory above it has to be opened up. Only the program itself is copied,
once, when the environment is out of that user's reach.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import cryptobot_assets
from cryptobot_assets.errors import ProcessError
from cryptobot_assets.storage.postgres_layout import Layout
from cryptobot_assets.storage.postgres_program import require_pipe
from cryptobot_assets.storage.room import MAKE_ROOM

GUARD_MODULE = "cryptobot_assets.storage.postgres_guard"
START_SECONDS = 90.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
ROOM_BYTES = 32 * 2**20
"""Two files of its log: without room for the next one it would stop in the middle of something."""


class EmbeddedPostgres:
    """This process's hold on the embedded server in `data_dir`.

    Use it as a context manager, or `acquire()` and leave it: the kernel ends the hold with the
    process. `acquire()` is cheap when the server is up (a millisecond) and mends it when it is
    not, so it may be called again at any time.

    >>> with EmbeddedPostgres(home / "postgres") as server:  # doctest: +SKIP
    ...     server.url("postgres")
    'postgresql+psycopg2://cryptobot@/postgres?host=/home/me/.cryptobot/postgres/run&port=5432'
    """

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir.expanduser().absolute()
        self._hold: int | None = None
        self._holder_pid: int | None = None

    @property
    def layout(self) -> Layout:
        """Where its files are."""
        return Layout(self._directory.resolve())

    def url(self, database: str) -> str:
        """SQLAlchemy address of `database`, in the form Dagster's storage and MLflow both take."""
        return (
            f"postgresql+psycopg2://{self.layout.role}@/{quote(database, safe='')}?host={self.layout.sockets}&port=5432"
        )

    def acquire(self) -> EmbeddedPostgres:
        """Hold the server and return once it answers, starting it when nobody has.

        Raises:
            ProcessError: it does not start; the message carries PostgreSQL's own last word.
        """
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_hold()
            with self.layout.start_lock.open("a") as starting:
                fcntl.flock(starting, fcntl.LOCK_EX)
                self._ensure_answering()
        except OSError as error:
            self.release()
            raise ProcessError(f"no room for PostgreSQL in {self._directory}: {error.strerror}") from error
        except ProcessError:
            self.release()
            raise
        return self

    def release(self) -> None:
        """Give up the hold; the last to do so returns when the server has stopped."""
        hold, self._hold = self._hold, None
        if hold is None:
            return
        try:
            if self._holder_pid == os.getpid():
                self._stop_if_last(hold)
        finally:
            os.close(hold)

    def __enter__(self) -> EmbeddedPostgres:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take_hold(self) -> None:
        if self._hold is not None and self._holder_pid == os.getpid():
            return
        hold = os.open(self.layout.holders_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(hold, fcntl.LOCK_SH)
        self._hold, self._holder_pid = hold, os.getpid()

    def _ensure_answering(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self._guard_lives():
                self._start_guard()
            elif time.monotonic() > deadline:
                raise ProcessError(f"PostgreSQL does not answer; see {self.layout.log}")
            else:
                time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        """Whether a guarded server says it is ready and its socket accepts."""
        lines = self.layout.postmaster_lines()
        if len(lines) < 8 or lines[7] != "ready" or not self._guard_lives():
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.layout.sockets / ".s.PGSQL.5432")) == 0

    def _guard_lives(self) -> bool:
        with self.layout.guard_lock.open("a") as lock:
            return not _flock(lock.fileno(), fcntl.LOCK_SH)

    def _start_guard(self) -> None:
        free = shutil.disk_usage(self._directory).free
        if free < ROOM_BYTES:
            room = f"{free // 2**20} MB free, it needs {ROOM_BYTES // 2**20}"
            raise ProcessError(f"no room for PostgreSQL in {self._directory}: {room}; {MAKE_ROOM}")
        root = Path(cryptobot_assets.__file__).parents[1]
        search = os.pathsep.join(part for part in (str(root), os.environ.get("PYTHONPATH")) if part)
        with self.layout.log.open("ab") as log:
            starter = subprocess.Popen(
                [sys.executable, "-m", GUARD_MODULE, str(self.layout.directory)],
                cwd="/", env={**os.environ, "PYTHONPATH": search}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        with starter, selectors.DefaultSelector() as selector:
            said = require_pipe(starter.stdout)
            selector.register(said, selectors.EVENT_READ)
            silent = not selector.select(START_SECONDS)
            line = "" if silent else said.readline().decode().strip()
        if line != "ready":
            raise ProcessError(line or f"the guard of PostgreSQL ended without a word; see {self.layout.log}")

    def _stop_if_last(self, hold: int) -> None:
        """Turn the hold into the exclusive one; when that works nobody else is in, nor comes in meanwhile."""
        deadline = time.monotonic() + STOP_SECONDS
        if not _flock(hold, fcntl.LOCK_EX):
            # Losing the shared lock on the way, the guard may have taken the exclusive one.
            if _flock(hold, fcntl.LOCK_SH):
                return
        elif not self._ask_guard_to_stop():
            return
        while self._guard_lives() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _ask_guard_to_stop(self) -> bool:
        """Whether the guard has been told; it finds out by itself when it is another user's."""
        pid = self.layout.guard_lock.read_text() if self._guard_lives() else ""
        if not pid:
            return False
        try:
            os.kill(int(pid), signal.SIGTERM)
        except (PermissionError, ProcessLookupError):
            return False
        return True


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

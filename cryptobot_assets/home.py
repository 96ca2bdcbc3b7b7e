"""The home directory: writable, and one writer at a time where that matters."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path
from types import TracebackType

from cryptobot_assets.errors import HomeConflict, StoreError, UsageError

LOCK_NAME = "demo.lock"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RESTORE_NOTE = "restoring.json"
"""In a home while a backup is being restored into it."""


def require_writable_home(home: Path) -> Path:
    """The home, made when absent.

    Raises:
        UsageError: it cannot be made or written; the message says why.
        StoreError: there is no room left in it.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as trial:
            trial.write(b"1")
    except OSError as error:
        if error.errno in FULL:
            raise StoreError(f"no room in the home {home}: {error.strerror}; free some and run it again") from error
        raise UsageError(
            f"home {home} cannot be written ({error.strerror}): set CRYPTOBOT_HOME to a directory of yours"
        ) from error
    return home


def require_whole_home(home: Path) -> Path:
    """The home, unless a restore into it was cut short.

    Raises:
        HomeConflict: it was; the message says what to run again.
    """
    note = home / RESTORE_NOTE
    if note.is_file():
        raise HomeConflict(f"home {home} was not restored to the end: run again `{note.read_text().strip()}`")
    return home


class HomeLock:
    """Exclusive use of a home by one command, for as long as the block or the process lasts.

    The kernel drops it with the process, so a killed command blocks nobody. `purpose` names the
    command to whoever finds the home taken.
    """

    def __init__(self, home: Path, purpose: str) -> None:
        self._home = home
        self._purpose = purpose
        self._lock: int | None = None

    def acquire(self) -> HomeLock:
        """Take the home.

        Raises:
            HomeConflict: another process has it; the message names its pid and purpose.
            UsageError: the home cannot be written.
        """
        path = require_writable_home(self._home) / LOCK_NAME
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(lock)
            raise HomeConflict(f"home {self._home} is in use by {holder}: wait for it, or use another home") from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"pid {os.getpid()} ({self._purpose})".encode(), 0)
        self._lock = lock
        return self

    def release(self) -> None:
        """Give the home free; the file stays, since removing it would let two commands in."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def __enter__(self) -> HomeLock:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

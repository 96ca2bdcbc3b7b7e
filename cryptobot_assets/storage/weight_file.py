"""The account of one exchange address, in a file that all processes of a machine share.

The file is held under a kernel lock for some microseconds at a time, so a process killed while it holds
the lock frees it, and is written in one piece. It lies in memory where the machine has such a place: what
it says is of no use after a restart. It belongs to one user of one machine, not to a home: two homes
on a machine ask from one address.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from cryptobot_assets.errors import UsageError
from cryptobot_assets.storage.weight_account import Account

MEMORY = Path("/dev/shm")  # noqa: S108 what is made there is this user's alone
LARGEST_BYTES = 4096
LOOK_AFTER_SECONDS = 60.0
"""Files not written for so long are looked at, and removed when they say nothing any more."""
SUFFIX = ".json"

_LOG = logging.getLogger(__name__)
_READ = msgspec.json.Decoder(Account)
_WRITE = msgspec.json.Encoder()
_PORTS = {"http": 80, "https": 443}


def boot_seconds() -> float:
    """Seconds since this machine started: one clock for all its processes, and nobody sets it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def exchange_name(url: str) -> str:
    """Host and port of an address.

    >>> exchange_name("https://data-api.binance.vision/"), exchange_name("http://[::1]:8080")
    ('data-api.binance.vision:443', '::1:8080')
    """
    parts = urlsplit(url)
    return f"{parts.hostname or ''}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def machine_directory() -> Path:
    """This user's directory for what the processes of this machine share.

    Raises:
        UsageError: there is no place for one.
    """
    name = f"cryptobot-{os.getuid()}"
    for parent in (MEMORY, Path(tempfile.gettempdir())):
        with suppress(OSError):
            (parent / name).mkdir(mode=0o700, exist_ok=True)
            found = (parent / name).lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and os.access(parent / name, os.W_OK):
                return parent / name
    raise UsageError(f"neither {MEMORY} nor {tempfile.gettempdir()} lets this user make {name}: set TMPDIR")


class AccountFile:
    """The account of the exchange at an address; safe from any number of threads and processes.

    Args:
        url: the address.
        directory: this machine's, see `machine_directory`.
        seconds: the clock of the account.
    """

    def __init__(self, url: str, *, directory: Path | None = None, seconds: Callable[[], float] = boot_seconds) -> None:
        self.exchange = exchange_name(url)
        self.seconds = seconds
        name = re.sub(r"[^A-Za-z0-9.-]", "_", self.exchange)
        self._path = (directory or machine_directory()) / f"{name}{SUFFIX}"

    @contextmanager
    def held(self) -> Iterator[tuple[Account, float]]:
        """The account and the present, for the block alone; it is written back when the block ends well.

        Raises:
            UsageError: the file cannot be made or written.
        """
        try:
            with _locked(self._path) as file:
                raw = os.pread(file, LARGEST_BYTES, 0)
                now = self.seconds()
                account = self._read(raw, now)
                yield account, now
                account.at = now
                os.pwrite(file, _WRITE.encode(account) + b"\n", 0)
            if not raw:
                self._sweep()
        except OSError as error:
            raise UsageError(f"{self._path}, where request weight is counted, fails: {error.strerror}") from error

    def _read(self, raw: bytes, now: float) -> Account:
        """A file that is new, cannot be read, or was written before the machine started says nothing."""
        try:
            account = _READ.decode(raw.partition(b"\n")[0])
            if account.at <= now:
                return account
        except msgspec.DecodeError:
            if raw:
                _LOG.warning("%s cannot be read: request weight is counted anew", self._path)
        return Account(client=f"{socket.gethostname()}-{secrets.token_hex(4)}")

    def _sweep(self) -> None:
        """Remove the files of addresses that nobody asks any more."""
        before = time.time() - LOOK_AFTER_SECONDS
        for path in self._path.parent.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    self._remove_if_idle(path)

    def _remove_if_idle(self, path: Path) -> None:
        with _locked(path) as file:
            now = self.seconds()
            if self._read(os.pread(file, LARGEST_BYTES, 0), now).is_idle(now):
                path.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open for the block alone; made when absent."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                yield file
                return
        finally:
            os.close(file)

"""API keys: a file of their hashes, made and revoked by a command, read again when it changes.

    {"keys": [{"name": "alice", "sha256": "...", "made_at": "2024-05-13T00:00:00+00:00"}]}

A key holds 256 random bits, so that one round of SHA-256 keeps it: there is no list of likely keys
to try. A file that is named but missing lets nobody in; one that cannot be read leaves the keys
that were known.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from cryptobot_assets.errors import UsageError

PREFIX = "cryptobot_"
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")
SETTINGS_KEY = "CRYPTOBOT_API_KEY"
"""Name of the key that the settings hold."""
LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredKey:
    """A key as the file has it: whose, its hash, when it was made (ISO 8601)."""

    name: str
    sha256: str
    made_at: str


def read_keys(path: Path) -> list[StoredKey]:
    """The keys of a file; raises `UsageError` when there is none or it cannot be read."""
    try:
        keys = [StoredKey(**entry) for entry in json.loads(path.read_text())["keys"]]
    except FileNotFoundError:
        raise UsageError(f"no keys at {path}: make one with `cryptobot key new NAME`") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} cannot be read as keys: restore it, or move it away and make new ones") from error
    if not all(isinstance(value, str) for key in keys for value in asdict(key).values()):
        raise UsageError(f"{path} cannot be read as keys: restore it, or move it away and make new ones")
    return keys


def make_key(path: Path, name: str, now: datetime) -> str:
    """Add a key to the file, which is made if need be; returns the key, which nothing else remembers.

    Raises:
        UsageError: the name is no name, or has a key already.
    """
    if not NAME.match(name):
        raise UsageError(f"{name[:60]!r} is no name for a key: use up to 40 letters, digits, and . _ -")
    with _locked(path):
        keys = read_keys(path) if path.exists() else []
        if name in {key.name for key in keys}:
            raise UsageError(
                f"{name} has a key: revoke it first, or make one of another name and revoke this one later"
            )
        key = PREFIX + secrets.token_urlsafe(32)
        _write(path, [*keys, StoredKey(name, _hash(key.encode()), now.isoformat(timespec="seconds"))])
    return key


def revoke_key(path: Path, name: str) -> None:
    """Take a key out of the file; raises `UsageError` when there is none of that name."""
    with _locked(path):
        keys = read_keys(path)
        kept = [key for key in keys if key.name != name]
        if len(kept) == len(keys):
            raise UsageError(
                f"no key of name {name[:60]!r}; there are: {', '.join(key.name for key in keys) or 'none'}"
            )
        _write(path, kept)


class KeyRing:
    """Which keys open the service: the settings' own, and those of a file as it is now (to a second)."""

    def __init__(
        self,
        api_key: str | None = None,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own = {SETTINGS_KEY: _hash(api_key.encode())} if api_key else {}
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._looked: float | None = None
        self._seen: tuple[int, ...] | None = None
        self._hashes: Mapping[str, str] = self._own

    @property
    def demanded(self) -> bool:
        """Whether callers need a key."""
        return bool(self._own) or self._path is not None

    def holder(self, key: bytes) -> str | None:
        """Name of the key, None when nobody has it. Takes as long for a wrong key as for a right one."""
        self._look()
        given = _hash(key)
        found = [name for name, known in self._hashes.items() if hmac.compare_digest(given, known)]
        return found[0] if found else None

    def _look(self) -> None:
        if self._path is None:
            return
        with self._lock:
            if self._looked is not None and self._clock() - self._looked < LOOK_SECONDS:
                return
            self._looked = self._clock()
            state = _state(self._path)
            if state != self._seen:
                self._seen = state
                self._read(self._path)

    def _read(self, path: Path) -> None:
        if self._seen is None:
            logger.error("the file of API keys is gone: its keys open nothing")
            self._hashes = self._own
            return
        try:
            keys = read_keys(path)
        except UsageError:
            logger.error("the file of API keys cannot be read: the keys known before stay in force")
            return
        self._hashes = self._own | {key.name: key.sha256 for key in keys}
        logger.info("API keys in force: %s", ", ".join(self._hashes) or "none")


def _hash(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, keys: Sequence[StoredKey]) -> None:
    """Put the file there in one move, readable by its owner alone."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600, exist_ok=False)
    with part.open("w") as file:
        json.dump({"keys": [asdict(key) for key in keys]}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

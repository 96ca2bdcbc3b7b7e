"""Served predictions on their way to the store: files that workers write and an asset empties.

    <home>/served/<instant>-<pid>-<random>.jsonl     one line a reply, appended and fsynced by one worker
                      \\-- its lock is held --> being written: left alone
                       \\- it is free -------> finished, or its worker died: read, stored, deleted

A worker writes no line in halves but for a machine or process that dies while writing: what stands
after the last newline is then no line. Lines that cannot be read are kept beside, never deleted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import msgspec
import polars as pl

from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.served import NO_CURRENCY, PREDICTION_KEY, SERVED_SCHEMA, served_around
from cryptobot_assets.storage.overtaking import until_not_overtaken
from cryptobot_assets.storage.store import SERVED_PREDICTIONS, Store

FOLDER = "served"
SUFFIX = ".jsonl"
UNREADABLE = ".unreadable"
_PATTERNS = (f"[!.]*{SUFFIX}", f"*{UNREADABLE}")
ROWS_A_WRITE = 200_000

logger = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One currency's prediction within a reply."""

    currency: str
    predicted_return: float | None
    interval_low: float | None
    interval_high: float | None


class Served(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reply as a line of the spool; columns as in `SERVED_SCHEMA`."""

    prediction_id: str
    role: str
    served_at: datetime
    route: str
    market: str
    algorithm: str
    version: str
    registered_name: str
    verdict: str
    entries: tuple[Entry, ...]
    rows: int = 1
    caller: str | None = None
    time: datetime | None = None
    known_at: datetime | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Served)


class SpoolFile:
    """A file of the spool that this process writes; nobody takes it before it is closed."""

    def __init__(self, folder: Path, instant: datetime) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{instant:%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        unseen = folder / f".{name}"
        self._file = unseen.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.path = unseen.rename(folder / name)
        self.opened_at = instant
        self.size = 0
        _sync_folder(folder)

    def append(self, replies: Sequence[Served]) -> None:
        """Write replies, and wait until the disk has them; raises `OSError`, then close the file and open another."""
        lines = memoryview(_encoder.encode_lines(replies))
        while lines:
            written = self._file.write(lines)
            lines = lines[written:]
            self.size += written
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Leave the file to whoever empties the spool."""
        self._file.close()


@dataclass(frozen=True)
class Emptied:
    """What an emptying found: files and rows stored, lines cut off by a crash, lines that cannot be read."""

    files: int = 0
    rows: int = 0
    cut_off: int = 0
    unreadable: int = 0


@dataclass(frozen=True)
class _Content:
    replies: list[Served]
    cut_off: int
    unreadable: list[bytes]


def empty_spool(folder: Path, store: Store) -> Emptied:
    """Move every finished file into the table `served_predictions`.

    A file is deleted after its rows are stored; cut short, it is read again and leaves the same
    rows. Several processes may empty one spool at once.
    """
    found = Emptied()
    for batch in _batches(folder):
        with batch as taken:
            contents = [_read(file) for _, file in taken]
            rows = as_rows([reply for content in contents for reply in content.replies])
            store_served(store, rows)
            for (path, _), content in zip(taken, contents, strict=True):
                if content.unreadable:
                    _keep(path, content.unreadable)
                path.unlink()
            found = Emptied(
                found.files + len(taken),
                found.rows + rows.height,
                found.cut_off + sum(content.cut_off for content in contents),
                found.unreadable + sum(len(content.unreadable) for content in contents),
            )
    return found


def is_empty(folder: Path) -> bool:
    """Whether nothing waits in the spool."""
    return next(folder.glob(f"[!.]*{SUFFIX}"), None) is None


@dataclass(frozen=True)
class Waiting:
    """What lies in a spool: files that are not stored yet, those being written among them, and lines kept aside."""

    files: int
    bytes: int
    unreadable_bytes: int


def waiting(home: Path) -> Waiting:
    """What waits in the spool of a home."""
    files, aside = ([_size(path) for path in (home / FOLDER).glob(pattern)] for pattern in _PATTERNS)
    return Waiting(len(files), sum(files), sum(aside))


def find_served(store: Store, folder: Path, prediction_id: str) -> pl.DataFrame:
    """Rows of one prediction, in the store or still in the spool, by role and position; empty when there is none.

    Raises:
        UsageError: that is no prediction's id.
    """
    start, end = served_around(prediction_id)
    wanted = prediction_id.strip().lower()
    waiting = []  # read before the store: what is moved meanwhile is then found there
    for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):
        with suppress(FileNotFoundError), path.open("rb") as file:
            waiting += [reply for reply in _read(file).replies if reply.prediction_id == wanted]
    stored = store.read(SERVED_PREDICTIONS, start=start, end=end, prediction_id=wanted)
    return _merged(stored, as_rows(waiting))


def store_served(store: Store, rows: pl.DataFrame) -> None:
    """Add rows to `served_predictions`; what is there already stays one copy."""
    if rows.is_empty():
        return
    start, end = earliest(rows["served_at"]), latest(rows["served_at"]) + timedelta(microseconds=1)

    def add() -> None:
        since = store.version(SERVED_PREDICTIONS)
        held = store.read(SERVED_PREDICTIONS, start=start, end=end)
        store.replace(SERVED_PREDICTIONS, _merged(held, rows), start=start, end=end, since=since)

    until_not_overtaken(add)


def as_rows(replies: Sequence[Served]) -> pl.DataFrame:
    """Replies as rows of `SERVED_SCHEMA`, one an entry."""
    own = [name for name in SERVED_SCHEMA if name in Served.__struct_fields__]
    told = [name for name in SERVED_SCHEMA if name in Entry.__struct_fields__]
    rows = [
        {name: getattr(reply, name) for name in own}
        | {name: getattr(entry, name) for name in told}
        | {"position": position}
        for reply in replies
        for position, entry in enumerate(reply.entries or (Entry(NO_CURRENCY, None, None, None),))
    ]
    return pl.DataFrame(rows, schema=SERVED_SCHEMA)


def _merged(held: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([held, rows]).unique(PREDICTION_KEY, keep="first").sort(PREDICTION_KEY)


def _batches(folder: Path) -> Iterator[AbstractContextManager[list[tuple[Path, IO[bytes]]]]]:
    """Contexts that hold some finished files each, locked, of a size to be written at once."""
    paths = sorted(folder.glob(f"[!.]*{SUFFIX}"))
    while paths:
        chosen, size = [], 0
        while paths and size < ROWS_A_WRITE * 100:
            chosen.append(paths.pop(0))
            size += _size(chosen[-1])
        yield _holding(chosen)


@contextmanager
def _holding(paths: Sequence[Path]) -> Iterator[list[tuple[Path, IO[bytes]]]]:
    with ExitStack() as stack:
        yield [(path, stack.enter_context(file)) for path in paths if (file := _take(path)) is not None]


def _take(path: Path) -> IO[bytes] | None:
    """The file, locked; None when a worker still writes it or somebody else empties it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if path.exists():
        return file
    file.close()
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read(file: IO[bytes]) -> _Content:
    *lines, rest = file.read().split(b"\n")
    replies, unreadable = [], []
    for line in lines:
        try:
            replies.append(_decoder.decode(line))
        except msgspec.DecodeError:
            unreadable.append(line)
    return _Content(replies, 1 if rest else 0, unreadable)


def _keep(path: Path, lines: Sequence[bytes]) -> None:
    beside = path.with_suffix(UNREADABLE)
    beside.write_bytes(b"\n".join(lines) + b"\n")
    logger.warning("%d lines of served predictions cannot be read: kept in %s", len(lines), beside)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

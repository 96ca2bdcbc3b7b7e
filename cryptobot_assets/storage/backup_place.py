"""Places of files: a directory or the part of a bucket below a prefix, listed, read and written alike.

A file that is written is there whole or not at all. What a place for backups holds in a directory
is its owner's alone (0700, 0600) and on the disk before anything refers to it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from pyarrow import fs

from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.postgres_address import shown
from cryptobot_assets.storage.s3 import is_here, is_s3

BLOCK_BYTES = 4_000_000
DRAFT = ".draft-"


@dataclass(frozen=True)
class PlacedFile:
    """A file by its name below the place; `modified` in nanoseconds since 1970."""

    name: str
    size: int
    modified: int


class Place(Protocol):
    """Every method raises `StoreError`, in one line that names the place, when it does not answer."""

    url: str

    def files(self, under: str = "") -> Iterator[PlacedFile]:
        """Files below a folder, all levels, sorted by name; none where there is no such folder."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """The content in blocks; raises `FileNotFoundError` when there is no such file."""

    def write(self, name: str, blocks: Iterable[bytes]) -> None:
        """Make this the file's content."""

    def delete(self, name: str) -> None:
        """Have the file gone; it may be already."""

    def sweep(self, before: datetime) -> None:
        """Clear away what writers that were killed before then left half done."""


def open_place(url: str, settings: Settings, *, private: bool = False) -> Place:
    """The place at a directory or `s3://bucket/prefix`; `private` for files that nobody else should read.

    Raises:
        UsageError: it is neither.
    """
    if is_s3(url):
        endpoint = settings.s3_endpoint or ""
        if endpoint.startswith("http://") and not (settings.s3_allow_http or is_here(endpoint)):
            raise UsageError(f"{endpoint} is another machine: use https://, or set AWS_ALLOW_HTTP=true")
        return BucketPlace(url, settings.s3_endpoint)
    if "://" in url:
        raise UsageError(f"{shown(url)} is no place for files: name a directory or s3://bucket/prefix")
    return DirectoryPlace(Path(url), private=private)


class DirectoryPlace:
    """A `Place` on this machine."""

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self.url = str(path)
        self._path = path
        self._private = private

    def files(self, under: str = "") -> Iterator[PlacedFile]:
        """See `Place.files`."""
        with self._plain_errors("read"):
            for folder, folders, names in os.walk(self._path / under, onerror=_raise_unless_absent):
                folders.sort()
                for name in sorted(names):
                    path = Path(folder, name)
                    if name.startswith(DRAFT):
                        continue
                    with suppress(FileNotFoundError):  # a temporary file of somebody's, gone again
                        found = path.stat()
                        relative = path.relative_to(self._path).as_posix()
                        yield PlacedFile(relative, found.st_size, found.st_mtime_ns)

    def blocks(self, name: str) -> Iterator[bytes]:
        """See `Place.blocks`."""
        with self._plain_errors("read"), (self._path / name).open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block

    def write(self, name: str, blocks: Iterable[bytes]) -> None:
        """See `Place.write`."""
        path = self._path / name
        draft = path.with_name(f"{DRAFT}{os.getpid()}-{path.name}")
        with self._plain_errors("write"):
            self._make(path.parent)
            try:
                opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if self._private else 0o666)
                with os.fdopen(opened, "wb") as file:
                    for block in blocks:
                        file.write(block)
                    if self._private:
                        file.flush()
                        os.fsync(file.fileno())
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
            if self._private:
                _sync_directory(path.parent)

    def delete(self, name: str) -> None:
        """See `Place.delete`."""
        with self._plain_errors("write"):
            (self._path / name).unlink(missing_ok=True)

    def sweep(self, before: datetime) -> None:
        """See `Place.sweep`."""
        with self._plain_errors("write"):
            for draft in self._path.rglob(f"{DRAFT}*"):
                with suppress(FileNotFoundError):
                    if draft.stat().st_mtime < before.timestamp():
                        draft.unlink()

    def remove(self, folder: str) -> None:
        """Have a folder and all below it gone."""
        with self._plain_errors("write"), suppress(FileNotFoundError):
            shutil.rmtree(self._path / folder)

    def move(self, folder: str, target: str) -> None:
        """Give a folder another name, at once; nothing when it is not there."""
        with self._plain_errors("write"):
            self._make((self._path / target).parent)
            if (self._path / folder).exists():
                (self._path / folder).rename(self._path / target)

    def _make(self, folder: Path) -> None:
        for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            missing.mkdir(mode=0o700 if self._private else 0o777, exist_ok=True)

    @contextmanager
    def _plain_errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"cannot {verb} {error.filename or self.url}: {error.strerror}") from error


class BucketPlace:
    """A `Place` in a bucket; credentials and region are AWS's own variables."""

    def __init__(self, url: str, endpoint: str | None) -> None:
        self.url = url.rstrip("/")
        self._root = self.url.removeprefix("s3://")
        self._endpoint = endpoint
        self._opened: fs.S3FileSystem | None = None

    @property
    def _bucket(self) -> fs.S3FileSystem:
        if self._opened is None:
            self._opened = fs.S3FileSystem(endpoint_override=self._endpoint)
        return self._opened

    def files(self, under: str = "") -> Iterator[PlacedFile]:
        """See `Place.files`."""
        below = f"{self._root}/{under}".rstrip("/")
        with self._plain_errors("read"):
            found = self._bucket.get_file_info(fs.FileSelector(below, recursive=True, allow_not_found=True))
        for one in sorted(found, key=lambda one: one.path):
            if one.type == fs.FileType.File:
                yield PlacedFile(one.path.removeprefix(f"{self._root}/"), one.size, one.mtime_ns)

    def blocks(self, name: str) -> Iterator[bytes]:
        """See `Place.blocks`."""
        with self._plain_errors("read"), self._bucket.open_input_stream(f"{self._root}/{name}") as file:
            while block := file.read(BLOCK_BYTES):
                yield block

    def write(self, name: str, blocks: Iterable[bytes]) -> None:
        """See `Place.write`."""
        with self._plain_errors("write"), self._bucket.open_output_stream(f"{self._root}/{name}") as file:
            for block in blocks:
                file.write(block)

    def delete(self, name: str) -> None:
        """See `Place.delete`."""
        with self._plain_errors("write"), suppress(FileNotFoundError):
            self._bucket.delete_file(f"{self._root}/{name}")

    def sweep(self, before: datetime) -> None:
        """See `Place.sweep`; a bucket shows nothing that was not written to its end."""

    @contextmanager
    def _plain_errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            said = str(error).partition(" (Request ID")[0].splitlines()[0]
            raise StoreError(f"cannot {verb} {self.url}: {said}") from error


def moment(nanoseconds: int) -> datetime:
    """The instant of a file's `modified`."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync_directory(path: Path) -> None:
    """Have a rename in the directory survive a power cut."""
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

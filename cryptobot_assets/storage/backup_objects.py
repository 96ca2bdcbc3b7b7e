"""Objects of a backup: what files and streams become on the way there, and are made of on the way back.

    large file       |--- 32 MB ---|--- 32 MB ---|- rest -|     an object a piece, as it is
    small files      | a | bb | c | ........ |                  one object of about 8 MB, compressed
    stream of lines  |---- about 8 MB ----|------|-------|      an object a piece, compressed

A stream is cut where the lines themselves say so (after a line whose checksum is small), not every
so many bytes: rows that come, go or change then change the pieces they lie in and no other, and
the next backup finds the rest already there. The memory in use is that of a few pieces.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta

import pyarrow as pa

from cryptobot_assets.errors import BadBackup
from cryptobot_assets.storage.backup_manifest import Entry, Manifest, Piece
from cryptobot_assets.storage.backup_place import Place, PlacedFile

OBJECTS = "objects"
PACKED = "-zstd"
LARGE_BYTES = 1_000_000
PIECE_BYTES = 32_000_000
BUNDLE_BYTES = 8_000_000
STREAM_BYTES = 8_000_000
LEAST_STREAM_BYTES = 1_000_000
RESTLESS = timedelta(seconds=2)
"""A file changed so shortly before a backup may change again without its time telling."""

Blocks = Iterable[bytes]
Tell = Callable[[int, str], None]
"""Told of so many more bytes, of a file by this name."""


def object_path(name: str) -> str:
    """Where an object lies."""
    return f"{OBJECTS}/{name[:2]}/{name}"


class ObjectWriter:
    """Takes a backup's files, and writes what the place does not have yet.

    Args:
        place: where to.
        known: objects that are there and will stay, and their sizes.
        previous: the backup before this one, whose files that have not changed are not read again.
    """

    def __init__(self, place: Place, known: Mapping[str, int], previous: Manifest | None, tell: Tell) -> None:
        self._place = place
        self._known = dict(known)
        self._settled = (previous.made - RESTLESS).timestamp() * 1e9 if previous else 0
        self._previous = {entry.path: entry for entry in previous.entries} if previous else {}
        self._tell = tell
        self._bundle = bytearray()
        self._bundled: list[tuple[str, int | None, int, int]] = []
        self.entries: list[Entry] = []
        self.written_bytes = 0

    def add_file(self, path: str, file: PlacedFile, blocks: Blocks) -> None:
        """Take a file; its blocks are not asked for when it is in the previous backup."""
        before = self._previous.get(path)
        if before is not None and self._is_same(before, file):
            self.entries.append(before)
        else:
            self._take(path, file, blocks)
        self._tell(file.size, path)

    def add_lines(self, path: str) -> LineStream:
        """A stream to write lines to, and to close; it becomes the file."""
        return LineStream(path, self)

    def finish(self) -> dict[str, int]:
        """Write what is still held; returns the objects of all files, with their sizes."""
        self._flush()
        self.entries.sort(key=lambda entry: entry.path)
        return {piece.object: self._known[piece.object] for entry in self.entries for piece in entry.pieces}

    def put(self, content: bytes, *, pack: bool) -> Piece:
        """Have an object hold this content."""
        stored = pa.Codec("zstd", 3).compress(content, asbytes=True) if pack else content
        name = hashlib.sha256(stored).hexdigest() + (PACKED if pack else "")
        if self._known.get(name) != len(stored):
            self._place.write(object_path(name), [stored])
            self._known[name] = len(stored)
            self.written_bytes += len(stored)
        return Piece(name, 0, len(content))

    def tell(self, size: int, path: str) -> None:
        """Tell of bytes taken."""
        self._tell(size, path)

    def _is_same(self, before: Entry, file: PlacedFile) -> bool:
        same = (before.size, before.modified) == (file.size, file.modified) and file.modified < self._settled
        return same and all(piece.object in self._known for piece in before.pieces)

    def _take(self, path: str, file: PlacedFile, blocks: Blocks) -> None:
        pieces, content = [], bytearray()
        for block in blocks:
            content += block
            if len(content) >= PIECE_BYTES:
                pieces.append(self.put(bytes(content), pack=False))
                content.clear()
        if not pieces and len(content) < LARGE_BYTES:
            self._add_small(path, file.modified, content)
            return
        if content:
            pieces.append(self.put(bytes(content), pack=False))
        self.entries.append(Entry(path, sum(piece.length for piece in pieces), file.modified, tuple(pieces)))

    def _add_small(self, path: str, modified: int | None, content: bytearray) -> None:
        self._bundled.append((path, modified, len(self._bundle), len(content)))
        self._bundle += content
        if len(self._bundle) >= BUNDLE_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._bundled:
            return
        bundle = self.put(bytes(self._bundle), pack=True)
        for path, modified, offset, length in self._bundled:
            self.entries.append(Entry(path, length, modified, (Piece(bundle.object, offset, length),)))
        self._bundle.clear()
        self._bundled.clear()


class LineStream:
    """A file-like object for whole lines; a context manager that makes an entry of them at its good end."""

    def __init__(self, path: str, writer: ObjectWriter) -> None:
        self._path = path
        self._writer = writer
        self._content = bytearray()
        self._pieces: list[Piece] = []

    def write(self, line: bytes) -> int:
        """Take one line."""
        self._content += line
        size = len(self._content)
        if size >= LEAST_STREAM_BYTES and (_says_cut(line) or size >= PIECE_BYTES):
            self._cut()
        return len(line)

    def __enter__(self) -> LineStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._cut()
            size = sum(piece.length for piece in self._pieces)
            self._writer.entries.append(Entry(self._path, size, None, tuple(self._pieces)))

    def _cut(self) -> None:
        if self._content:
            self._pieces.append(self._writer.put(bytes(self._content), pack=True))
            self._writer.tell(len(self._content), self._path)
            self._content.clear()


def _says_cut(line: bytes) -> bool:
    """True once in `STREAM_BYTES` on average, and for the same lines always."""
    return zlib.crc32(line) * STREAM_BYTES < len(line) << 32


class ObjectReader:
    """Reads a backup's files; what is read is checked to be what was written."""

    def __init__(self, place: Place, backup: str) -> None:
        self._place = place
        self._backup = backup
        self._last: tuple[str, bytes] = ("", b"")

    def check(self, name: str) -> None:
        """Nothing, when the object is there and whole.

        Raises:
            BadBackup: it is missing or changed.
        """
        digest = hashlib.sha256()
        for block in self._stored(name):
            digest.update(block)
        self._require(name, digest.hexdigest())

    def blocks(self, entry: Entry) -> Iterator[bytes]:
        """The content of a file, by its pieces."""
        for piece in entry.pieces:
            yield self._content(piece.object)[piece.offset : piece.offset + piece.length]

    def _content(self, name: str) -> bytes:
        """What an object holds; the last one asked for is at hand, since a bundle's files come one by one."""
        if self._last[0] != name:
            stored = b"".join(self._stored(name))
            self._require(name, hashlib.sha256(stored).hexdigest())
            if name.endswith(PACKED):
                stored = pa.CompressedInputStream(pa.BufferReader(stored), "zstd").read()
            self._last = name, stored
        return self._last[1]

    def _stored(self, name: str) -> Iterator[bytes]:
        try:
            yield from self._place.blocks(object_path(name))
        except FileNotFoundError as error:
            raise BadBackup(f"{self._told()} is damaged: {object_path(name)} is missing") from error

    def _require(self, name: str, digest: str) -> None:
        if digest != name.removesuffix(PACKED):
            raise BadBackup(f"{self._told()} is damaged: {object_path(name)} is not what was written")

    def _told(self) -> str:
        return f"backup {self._backup} at {self._place.url}"

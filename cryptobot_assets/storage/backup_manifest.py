"""What a backup holds: one manifest, written last, so that a backup is there when its manifest is.

<place>/
  manifests/<instant>.json    a line with the SHA-256 of the rest, then the rest
  objects/<ab>/<sha256>       bytes as they were: pieces of larger files
  objects/<ab>/<sha256>-zstd  the same compressed: rows of tables, and small files by the bundle

An object's name is the SHA-256 of what it holds, so `sha256sum` alone can check it. Backups share
objects: one that a manifest names stays as long as any manifest names it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptobot_assets.errors import BadBackup, StoreError
from cryptobot_assets.storage.backup_place import Place

FORMAT = 1
MANIFESTS = "manifests"
NAME_FORMAT = "%Y-%m-%dT%H-%M-%SZ"
NAME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file: `length` of an object's content from `offset` on."""

    object: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a backup; `modified` in nanoseconds since 1970, None for what never was a file."""

    path: str
    size: int
    modified: int | None
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Manifest:
    """One backup.

    Attributes:
        name: the instant it was begun, in UTC.
        store: what it says of the store: kind, place, and each table's version, rows, first and newest time.
        home: the home it was made of, None where only a store was.
        databases: names of the bookkeeping databases in it.
        left_out: what of the platform it does not hold, in words.
        objects: stored size of every object, in bytes.
        entries: the files.
    """

    name: str
    store: dict[str, Any]
    home: str | None
    databases: list[str]
    left_out: list[str]
    objects: dict[str, int] = field(repr=False)
    entries: list[Entry] = field(repr=False)

    @property
    def made(self) -> datetime:
        """When it was begun."""
        return instant(self.name)

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(entry.size for entry in self.entries)

    def below(self, folder: str) -> list[Entry]:
        """Files of one folder."""
        return [entry for entry in self.entries if entry.path.startswith(f"{folder}/")]


def instant(name: str) -> datetime:
    """The instant a backup is named after."""
    return datetime.strptime(name, NAME_FORMAT).replace(tzinfo=UTC)


def write_manifest(place: Place, manifest: Manifest) -> None:
    """Make the backup be there."""
    numbers = {name: number for number, name in enumerate(manifest.objects)}
    content = {
        "format": FORMAT,
        "store": manifest.store,
        "home": manifest.home,
        "databases": manifest.databases,
        "left_out": manifest.left_out,
        "objects": list(manifest.objects.items()),
        "files": [
            [one.path, one.size, one.modified, [[numbers[p.object], p.offset, p.length] for p in one.pieces]]
            for one in manifest.entries
        ],
    }
    body = json.dumps(content, separators=(",", ":")).encode()
    head = f"{hashlib.sha256(body).hexdigest()}\n".encode()
    place.write(f"{MANIFESTS}/{manifest.name}.json", [head, body])


def backup_names(place: Place) -> list[str]:
    """Names of the backups at a place, oldest first."""
    files = (file.name.removeprefix(f"{MANIFESTS}/").removesuffix(".json") for file in place.files(MANIFESTS))
    return sorted(name for name in files if NAME.match(name))


def read_manifest(place: Place, name: str) -> Manifest:
    """One backup's manifest.

    Raises:
        BadBackup: it is cut short or changed, or a newer version of this program wrote it.
        StoreError: there is no such backup.
    """
    try:
        whole = b"".join(place.blocks(f"{MANIFESTS}/{name}.json"))
    except FileNotFoundError as error:
        known = ", ".join(backup_names(place)[-5:]) or "none"
        raise StoreError(f"there is no backup {name} at {place.url}; there are: {known}") from error
    head, _, body = whole.partition(b"\n")
    if head.decode(errors="replace") != hashlib.sha256(body).hexdigest():
        raise BadBackup(f"backup {name} at {place.url} is damaged: its manifest is not what was written")
    content = json.loads(body)
    if content["format"] != FORMAT:
        raise BadBackup(f"backup {name} at {place.url} is of a newer version: update this program")
    objects = dict(content["objects"])
    names = list(objects)
    return Manifest(
        name=name,
        store=content["store"],
        home=content["home"],
        databases=content["databases"],
        left_out=content["left_out"],
        objects=objects,
        entries=[
            Entry(path, size, modified, tuple(Piece(names[number], offset, length) for number, offset, length in parts))
            for path, size, modified, parts in content["files"]
        ],
    )


def sound_manifests(place: Place) -> tuple[list[Manifest], list[str]]:
    """The manifests that can be read, oldest first, and the names of those that cannot."""
    sound, damaged = [], []
    for name in backup_names(place):
        try:
            sound.append(read_manifest(place, name))
        except BadBackup:
            damaged.append(name)
    return sound, damaged

"""A lake in a backup: the files of its tables as they are, log and old versions included.

Rows alone would do for the tables, but not for the promise that a model names the version of the
table it was trained on: versions are numbers in Delta's log. Data files never change once written,
so a day's backup costs a day's files. The instant of the backup is the number of each table's
newest version: commits after it are left out of the log, and files that only they name are idle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptobot_assets.errors import BadBackup, StoreError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup_manifest import Entry, Manifest
from cryptobot_assets.storage.backup_objects import ObjectReader, ObjectWriter, Tell
from cryptobot_assets.storage.backup_place import DirectoryPlace, Place, PlacedFile, open_place
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.lake_snapshot import TableSnapshot
from cryptobot_assets.storage.store import TABLES, open_store_at

KIND = "lake"
FOLDER = "lake"
LOG = "_delta_log"
LOGGED = re.compile(rf"^[^/]+/{LOG}/(\d{{20}})\.(json|crc|checkpoint\.[0-9.]*parquet)$")
STAGED, REPLACED = ".restoring", ".replaced"


class LakeSource:
    """A lake's tables as of one instant, to be put into a backup."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._place = open_place(settings.lake_url, settings)
        self._versions = snapshots(_open(settings, settings.lake_url))
        self._files = [file for name in self._versions for file in self._of(name)]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self._files)

    def capture(self, writer: ObjectWriter) -> None:
        """Put the files into a backup."""
        for file in self._files:
            try:
                writer.add_file(f"{FOLDER}/{file.name}", file, self._place.blocks(file.name))
            except FileNotFoundError as error:
                # Upkeep deletes what only versions long gone name; those of this instant are another matter.
                if self._is_needed(file.name):
                    raise StoreError(
                        f"{file.name} of the lake at {self._place.url} went away: back up again"
                    ) from error

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the store."""
        return {"kind": KIND, "place": self._place.url, "tables": facts_of(self._versions)}

    def _of(self, name: str) -> Iterator[PlacedFile]:
        """The files of a table.

        Raises:
            StoreError: one that its version names is not there.
        """
        version = self._versions[name]
        found = {file.name: file for file in self._place.files(name)}
        for path, size in version.files.items():
            if getattr(found.get(f"{name}/{path}"), "size", None) != size:
                raise StoreError(f"table {name} at {self._place.url} is damaged: {path} is missing or cut short")
        for file in found.values():
            logged = LOGGED.match(file.name)
            if int(logged[1]) <= version.version if logged else LOG not in file.name and "#" not in file.name:
                yield file

    def _is_needed(self, path: str) -> bool:
        name, _, inside = path.partition("/")
        return inside in self._versions[name].files or LOG in inside


def snapshots(lake: Lake) -> dict[str, TableSnapshot]:
    """Every table's present version."""
    found = {name: lake.snapshot(table) for name, table in TABLES.items()}
    return {name: one for name, one in found.items() if one is not None}


def facts_of(versions: dict[str, TableSnapshot]) -> dict[str, dict[str, Any]]:
    """What the manifest says of each table."""
    return {
        name: {
            "version": str(one.version),
            "rows": one.rows,
            "first": one.first.isoformat() if one.first else None,
            "newest": one.newest.isoformat() if one.newest else None,
        }
        for name, one in versions.items()
    }


def with_rows(settings: Settings) -> list[str]:
    """Names of the tables that have rows."""
    return [name for name, one in snapshots(_open(settings, settings.lake_url)).items() if one.rows]


def restore_lake(settings: Settings, manifest: Manifest, reader: ObjectReader, tell: Tell) -> None:
    """Put a backup's lake in place of what the settings' address holds.

    In a directory each table is made whole beside the old one, looked at, and then takes its name;
    in a bucket the old table goes first, and the new one is there with the first entry of its log.

    Raises:
        BadBackup: a table is not what the manifest says.
    """
    place = open_place(settings.lake_url, settings)
    tables = {name: manifest.below(f"{FOLDER}/{name}") for name in TABLES}
    if isinstance(place, DirectoryPlace):
        place.remove(STAGED)
        for entries in tables.values():
            _write(place, f"{STAGED}/", entries, reader, tell)
        _require(settings, str(Path(place.url, STAGED)), manifest)
        place.remove(REPLACED)
        for name in tables:
            place.move(name, f"{REPLACED}/{name}")
            place.move(f"{STAGED}/{name}", name)
        place.remove(STAGED)
        place.remove(REPLACED)
    else:
        for name, entries in tables.items():
            _clear(place, name)
            _write(place, "", entries, reader, tell)
        _require(settings, settings.lake_url, manifest)


def _write(place: Place, prefix: str, entries: list[Entry], reader: ObjectReader, tell: Tell) -> None:
    """Data first; the log from its beginning. What lies in one object is written in a row."""
    data = [entry for entry in entries if f"/{LOG}/" not in entry.path]
    log = [entry for entry in entries if f"/{LOG}/" in entry.path]
    data.sort(key=lambda entry: [(piece.object, piece.offset) for piece in entry.pieces])
    for entry in (*data, *log):
        place.write(prefix + entry.path.removeprefix(f"{FOLDER}/"), reader.blocks(entry))
        tell(entry.size, entry.path)


def _clear(place: Place, name: str) -> None:
    """Delete a table, its log first: from then on it is not there."""
    for folder in (f"{name}/{LOG}", name):
        for file in list(place.files(folder)):
            place.delete(file.name)


def _require(settings: Settings, url: str, manifest: Manifest) -> None:
    held = facts_of(snapshots(_open(settings, url)))
    if held != manifest.store["tables"]:
        wrong = [name for name, facts in manifest.store["tables"].items() if held.get(name) != facts]
        raise BadBackup(f"backup {manifest.name}: {', '.join(wrong)} came out otherwise than its manifest says")


def _open(settings: Settings, url: str) -> Lake:
    lake = open_store_at(url, s3_endpoint=settings.s3_endpoint)
    if not isinstance(lake, Lake):
        raise StoreError(f"{url} is no lake")
    return lake

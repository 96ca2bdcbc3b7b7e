"""A home in a backup: what it remembers of its market, Dagster's own files and MLflow's artifacts, models among them.

Its lake and its embedded databases are in the backup in their own ways; caches and logs are not.
"""

from __future__ import annotations

from pathlib import Path

from cryptobot_assets.settings import HOME_PROFILE
from cryptobot_assets.storage.backup_manifest import Manifest
from cryptobot_assets.storage.backup_objects import ObjectReader, ObjectWriter, Tell
from cryptobot_assets.storage.backup_place import DirectoryPlace, PlacedFile

FOLDER = "home"
PARTS = ("dagster", "mlflow")


class HomeSource:
    """A home's files, to be put into a backup."""

    def __init__(self, home: Path) -> None:
        self._place = DirectoryPlace(home)
        self._files = [file for part in PARTS for file in self._place.files(part)]
        profile = home / HOME_PROFILE
        if profile.is_file():
            found = profile.stat()
            self._files.append(PlacedFile(HOME_PROFILE, found.st_size, found.st_mtime_ns))

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self._files)

    def capture(self, writer: ObjectWriter) -> None:
        """Put the files into a backup; one that is gone meanwhile was temporary."""
        for file in self._files:
            try:
                writer.add_file(f"{FOLDER}/{file.name}", file, self._place.blocks(file.name))
            except FileNotFoundError:
                continue


def restore_home(home: Path, manifest: Manifest, reader: ObjectReader, tell: Tell) -> None:
    """Write a backup's files into a home; others that are there stay."""
    place = DirectoryPlace(home)
    entries = manifest.below(FOLDER)
    for entry in sorted(entries, key=lambda one: [(piece.object, piece.offset) for piece in one.pieces]):
        place.write(entry.path.removeprefix(f"{FOLDER}/"), reader.blocks(entry))
        tell(entry.size, entry.path)

"""Restoring a backup: the store, and the home with its bookkeeping, as they were at its instant.

    every byte is checked -> what is there is looked at -> a note of what is going on is left
        -> home's files -> bookkeeping databases -> the store -> the note is taken away

Nothing is touched until the backup has proven whole. Each part is replaced as a whole (a file, a
database, a table); a restore that was cut short leaves its note, by which the same one may be run
again, over what it had brought so far, and nobody takes the home for a whole one.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptobot_assets.errors import BadBackup, StoreError
from cryptobot_assets.home import RESTORE_NOTE, require_writable_home
from cryptobot_assets.settings import HOME_PROFILE, Settings
from cryptobot_assets.storage import backup_lake, backup_tables
from cryptobot_assets.storage.backup import MEGABYTE, Watch, verify
from cryptobot_assets.storage.backup_databases import holds_rows, others_connected, restore_database
from cryptobot_assets.storage.backup_home import FOLDER as HOME_FOLDER
from cryptobot_assets.storage.backup_home import restore_home
from cryptobot_assets.storage.backup_manifest import Manifest
from cryptobot_assets.storage.backup_objects import ObjectReader, Tell
from cryptobot_assets.storage.backup_place import Place
from cryptobot_assets.storage.metadata import MetadataUrls, metadata_urls
from cryptobot_assets.storage.postgres_address import is_postgres, shown
from cryptobot_assets.storage.store import is_lake

WORK = {"dagster": ("runs", "event_logs"), "mlflow": ("runs", "registered_models")}
"""Tables of each database that have rows once anything was done."""


@dataclass(frozen=True)
class Restore:
    """A restore about to be done.

    Attributes:
        place, manifest: the backup.
        settings: where to: the home, the store and the bookkeeping they name.
        with_store, with_home: which parts.
    """

    place: Place
    manifest: Manifest
    settings: Settings
    with_store: bool = True
    with_home: bool = True

    def __post_init__(self) -> None:
        kind = _kind_of(self.settings.lake_url)
        if self.with_store and kind != self.manifest.store["kind"]:
            raise BadBackup(
                f"backup {self.manifest.name} holds a {self.manifest.store['kind']} store and "
                f"{shown(self.settings.lake_url)} is a {kind}: set CRYPTOBOT_STORE_URL to one of the same kind, "
                "then `cryptobot copy`"
            )

    def parts(self) -> list[str]:
        """What would be replaced, in words."""
        found = [f"the store at {shown(self.settings.lake_url)}"] if self.with_store else []
        if self.with_home:
            databases = (
                f" and its bookkeeping ({', '.join(self.manifest.databases)})" if self.manifest.databases else ""
            )
            found.append(f"the home {self.settings.home}{databases}")
        return found

    def occupied(self) -> list[str]:
        """What is there already and would be replaced, in words; nothing where this restore was cut short."""
        note = self.settings.home / RESTORE_NOTE
        if note.is_file() and note.read_text() == self._own_note():
            return []
        return [
            *(self._occupied_store() if self.with_store else []),
            *(self._occupied_home() if self.with_home else []),
        ]

    def run(self, watch: Watch) -> None:
        """Check the backup, then replace every part.

        Raises:
            BadBackup: it is damaged; nothing was touched.
            StoreError: a part cannot be written, or is in use.
        """
        with watch("Check the backup", sum(self.manifest.objects.values()) / MEGABYTE) as progress:
            verify(self.place, self.manifest, progress)
        urls = self._databases()
        for name, url in urls.items():
            if others_connected(url):
                raise StoreError(f"database {name} of {self.settings.home} is in use: stop `cryptobot up` first")
        note = require_writable_home(self.settings.home) / RESTORE_NOTE
        note.write_text(self._own_note())
        entries = [one for one in self.manifest.entries if self._is_wanted(one.path)]
        with watch("Restore", sum(one.size for one in entries) / MEGABYTE) as progress:
            self._replace(urls, lambda size, path: progress.advance("restore", steps=size / MEGABYTE, note=path))
        note.unlink()

    def _replace(self, urls: dict[str, str], tell: Tell) -> None:
        settings, manifest = self.settings, self.manifest
        reader = ObjectReader(self.place, manifest.name)
        if self.with_home:
            restore_home(settings.home, manifest, reader, tell)
            moved = (str(manifest.home), str(settings.home))
            for name, url in urls.items():
                restore_database(name, url, manifest, reader, tell, moved=None if moved[0] == moved[1] else moved)
        if self.with_store and is_postgres(settings.lake_url):
            backup_tables.restore_tables(settings.lake_url, manifest, reader, tell)
        elif self.with_store:
            backup_lake.restore_lake(settings, manifest, reader, tell)

    def _databases(self) -> dict[str, str]:
        """Addresses of the databases to be restored; the server is started for them."""
        if not self.with_home or not self.manifest.databases:
            return {}
        urls: MetadataUrls = metadata_urls(self.settings)
        return {name: getattr(urls, name) for name in self.manifest.databases}

    def _occupied_store(self) -> list[str]:
        url = self.settings.lake_url
        held = backup_tables.with_rows(url) if is_postgres(url) else backup_lake.with_rows(self.settings)
        return [f"{shown(url)} holds {', '.join(held)}"] if held else []

    def _occupied_home(self) -> list[str]:
        found = []
        if (self.settings.home / HOME_PROFILE).exists():
            found.append(f"{self.settings.home} holds a market")
        if self.settings.metadata_url or (self.settings.home / "postgres").is_dir():
            busy = [name for name, url in self._databases().items() if holds_rows(url, WORK[name])]
            found += [f"its bookkeeping holds work of {' and '.join(busy)}"] if busy else []
        return found

    def _is_wanted(self, path: str) -> bool:
        of_home = path.split("/")[0] in (HOME_FOLDER, "databases")
        return self.with_home if of_home else self.with_store

    def _own_note(self) -> str:
        only = "" if self.with_store and self.with_home else f" --only {'store' if self.with_store else 'home'}"
        return f"cryptobot restore {self.place.url} --at {self.manifest.name}{only}\n"


def _kind_of(url: str) -> str:
    """Which backups a store at an address can be restored from."""
    if is_lake(url):
        return backup_lake.KIND
    return backup_tables.KIND if is_postgres(url) else f"store on {url.split('://')[0]}://"

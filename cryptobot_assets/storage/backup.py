"""Backups: everything that is needed to have the platform again, as of one instant, in a directory or a bucket.

    instant       Dagster's database | MLflow's database | the store        (within milliseconds, in this order)
    then          rows and files are copied, MLflow's models last, and the manifest is written
    afterwards    backups beyond the number kept go, and objects nobody names

What Dagster says is materialized is thus in the store, and the versions of tables that models name
too. A lake keeps its versions (`backup_lake`), a PostgreSQL store its rows (`backup_tables`), the
bookkeeping is pg_dump's (`backup_databases`). One form for all three stores would lose a lake's
versions; `cryptobot copy` takes a restored store into one of another kind.

A backup that was cut short has no manifest and is none: what it wrote serves the next one, or is
cleared away a day later. Several may be made at once.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.engine import make_url

from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.home import require_whole_home
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup_databases import DatabaseSource
from cryptobot_assets.storage.backup_home import PARTS, HomeSource
from cryptobot_assets.storage.backup_lake import LakeSource
from cryptobot_assets.storage.backup_manifest import (
    MANIFESTS,
    NAME_FORMAT,
    Manifest,
    backup_names,
    instant,
    sound_manifests,
    write_manifest,
)
from cryptobot_assets.storage.backup_objects import OBJECTS, ObjectReader, ObjectWriter
from cryptobot_assets.storage.backup_place import Place, PlacedFile, moment, open_place
from cryptobot_assets.storage.backup_tables import TablesSource
from cryptobot_assets.storage.metadata import metadata_urls
from cryptobot_assets.storage.postgres_address import is_postgres
from cryptobot_assets.storage.store import TABLES, is_lake

GRACE = timedelta(days=1)
"""How long an object that no manifest names stays: the backup that writes it may still be going on."""

MEGABYTE = 1e6
Watch = Callable[[str, float], AbstractContextManager[Progress]]
"""Watches work of so many megabytes under a title."""


@dataclass(frozen=True)
class Backup:
    """A backup just made: its manifest, the bytes it added to the place, and the backups that went for it."""

    manifest: Manifest
    written_bytes: int
    forgotten: list[str]


def backup_place(settings: Settings, url: str | None = None) -> Place:
    """Where backups go: the address, or the one the settings name.

    Raises:
        UsageError: it is no place, or lies in what is to be backed up.
    """
    address = url or settings.backup_address
    if "://" not in address:
        address = str(Path(address).expanduser().absolute())
    own = [settings.lake_url, *(str(settings.home / part) for part in PARTS)]
    if any(f"{address}/".startswith(f"{one.rstrip('/')}/") for one in own):
        raise UsageError(f"{address} is part of what is backed up: name another place")
    return open_place(address, settings, private=True)


def make_backup(settings: Settings, watch: Watch, *, url: str | None = None) -> Backup:
    """Back up the store, and the home with its bookkeeping where there is one.

    Raises:
        StoreError: something cannot be read or written; the place holds the backups it held before.
        HomeConflict: the home is half restored.
    """
    require_whole_home(settings.home)
    place = backup_place(settings, url)
    name = _next_name(backup_names(place))
    before, _ = sound_manifests(place)
    known = _known_objects(place, before)
    previous = before[-1] if before else None
    with ExitStack() as stack:
        databases, left_out = _databases(settings, stack)
        store = _store(settings, stack)
        home = HomeSource(settings.home)
        sources = [*databases, store, home]
        progress = stack.enter_context(watch("Back up", sum(source.size for source in sources) / MEGABYTE))
        writer = ObjectWriter(
            place, known, previous, lambda size, path: progress.advance("backup", steps=size / MEGABYTE, note=path)
        )
        for source in sources:
            source.capture(writer)
        objects = writer.finish()
        manifest = Manifest(
            name=name,
            store=store.facts(),
            home=str(settings.home),
            databases=[one.name for one in databases],
            left_out=left_out,
            objects=objects,
            entries=writer.entries,
        )
    _require_objects(place, manifest)
    write_manifest(place, manifest)
    return Backup(manifest, writer.written_bytes, prune(place, settings.backups_kept))


def verify(place: Place, manifest: Manifest, progress: Progress, *, whole: Container[str] = ()) -> None:
    """Nothing, when every byte of a backup is what was written; objects known to be whole are not read again.

    Raises:
        BadBackup: an object is missing or changed.
    """
    reader = ObjectReader(place, manifest.name)
    for name, size in manifest.objects.items():
        if name not in whole:
            reader.check(name)
        progress.advance("verify", steps=size / MEGABYTE)


def prune(place: Place, kept: int) -> list[str]:
    """Forget all but the newest backups, then clear away what none of those names; returns the forgotten.

    While a manifest cannot be read nobody knows what it names, and every object stays.
    """
    names = backup_names(place)
    forgotten = names[:-kept]
    for name in forgotten:
        place.delete(f"{MANIFESTS}/{name}.json")
    manifests, damaged = sound_manifests(place)
    named = {one for manifest in manifests for one in manifest.objects}
    before = datetime.now(UTC) - GRACE
    for file in [] if damaged else list(place.files(OBJECTS)):
        if _object_name(file) not in named and moment(file.modified) < before:
            place.delete(file.name)
    place.sweep(before)
    return forgotten


def _databases(settings: Settings, stack: ExitStack) -> tuple[list[DatabaseSource], list[str]]:
    """The bookkeeping databases, Dagster's first, and what of the bookkeeping is elsewhere."""
    if not settings.metadata_url and not (settings.home / "postgres").is_dir():
        return [], [f"the bookkeeping: {settings.home} has none yet"]
    urls = metadata_urls(settings)
    found = {"dagster": urls.dagster}
    elsewhere = settings.mlflow_tracking_uri
    left_out = []
    if elsewhere in (None, urls.mlflow):
        found["mlflow"] = urls.mlflow
    else:
        place = make_url(elsewhere).render_as_string(hide_password=True)
        left_out.append(f"the model registry at {place}: back it up where it is kept")
    sources = []
    for name, url in found.items():
        sources.append(DatabaseSource(name, url))
        stack.callback(sources[-1].close)
    return sources, left_out


def _store(settings: Settings, stack: ExitStack) -> LakeSource | TablesSource:
    if is_lake(settings.lake_url):
        return LakeSource(settings)
    if not is_postgres(settings.lake_url):
        scheme = settings.lake_url.split("://")[0]
        raise UsageError(f"a store on {scheme}:// is not backed up here: `cryptobot copy` it")
    source = TablesSource(settings.lake_url)
    stack.callback(source.close)
    return source


def _next_name(names: list[str]) -> str:
    """This instant; just after the newest backup's where a clock went back or two come within a second."""
    now = datetime.now(UTC)
    return (max(now, instant(names[-1]) + timedelta(seconds=1)) if names else now).strftime(NAME_FORMAT)


def _known_objects(place: Place, manifests: list[Manifest]) -> dict[str, int]:
    """Objects that are there, whole by their size, and will stay while a backup is made; and their sizes.

    Those that no manifest names may be cleared away by another backup's end once they are a day old.
    """
    named = {name: size for manifest in manifests for name, size in manifest.objects.items()}
    young = datetime.now(UTC) - GRACE / 2
    return {
        _object_name(file): file.size
        for file in place.files(OBJECTS)
        if named.get(_object_name(file), file.size if moment(file.modified) > young else None) == file.size
    }


def _require_objects(place: Place, manifest: Manifest) -> None:
    held = {_object_name(file): file.size for file in place.files(OBJECTS)}
    if any(held.get(name) != size for name, size in manifest.objects.items()):
        raise StoreError(f"objects at {place.url} went away during the backup: back up again")


def _object_name(file: PlacedFile) -> str:
    return file.name.rpartition("/")[2]


def told(manifest: Manifest) -> str:
    """A backup in one line."""
    rows = sum(facts["rows"] for name, facts in manifest.store["tables"].items() if name in TABLES)
    databases = f", bookkeeping of {' and '.join(manifest.databases)}" if manifest.databases else ""
    return (
        f"{manifest.name}  {manifest.store['kind']}, {rows:,} rows{databases}, "
        f"{manifest.bytes / MEGABYTE:,.1f} MB in {len(manifest.entries):,} files"
    )

"""`cryptobot backup`."""

from __future__ import annotations

from contextlib import AbstractContextManager

from cryptobot_assets.cli.console import Stage, say
from cryptobot_assets.errors import BadBackup, StoreError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup import MEGABYTE, backup_place, make_backup, told, verify
from cryptobot_assets.storage.backup_manifest import backup_names, read_manifest
from cryptobot_assets.storage.backup_place import Place
from cryptobot_assets.storage.metadata import release_metadata


def run_backup(settings: Settings, url: str | None) -> None:
    """Make a backup."""
    try:
        made = make_backup(settings, watch, url=url)
    finally:
        release_metadata(settings)
    say(f"  {told(made.manifest)}")
    say(f"  {made.written_bytes / MEGABYTE:,.1f} MB new at {backup_place(settings, url).url}")
    for part in made.manifest.left_out:
        say(f"  not in it: {part}")
    if made.forgotten:
        say(f"  forgotten: {', '.join(made.forgotten)}")


def run_list(settings: Settings, url: str | None) -> None:
    """List the backups at a place, oldest first."""
    place = backup_place(settings, url)
    for name in require_names(place):
        say(told(read_manifest(place, name)))


def run_verify(settings: Settings, url: str | None) -> None:
    """Read every byte of every backup at a place.

    Raises:
        BadBackup: some are damaged; each is named.
    """
    place = backup_place(settings, url)
    whole: set[str] = set()
    damaged = []
    for name in require_names(place):
        try:
            manifest = read_manifest(place, name)
            with watch(f"Check {name}", sum(manifest.objects.values()) / MEGABYTE) as progress:
                verify(place, manifest, progress, whole=whole)
            whole.update(manifest.objects)
        except BadBackup as error:
            damaged.append(str(error))
    if damaged:
        raise BadBackup("; ".join(damaged))


def require_names(place: Place) -> list[str]:
    """Names of the backups at a place, oldest first; raises `StoreError` when there is none."""
    names = backup_names(place)
    if not names:
        raise StoreError(f"there is no backup at {place.url}")
    return names


def watch(title: str, megabytes: float) -> AbstractContextManager[Stage]:
    """Shows work of so many megabytes."""
    return Stage(f"{title} (MB)", megabytes).running()

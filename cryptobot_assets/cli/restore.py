"""`cryptobot restore`."""

from __future__ import annotations

from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES, RunsFilter

from cryptobot_assets.cli.backup import require_names, watch
from cryptobot_assets.cli.console import say
from cryptobot_assets.dagster_home import open_instance
from cryptobot_assets.errors import UsageError
from cryptobot_assets.home import HomeLock
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup import backup_place, told
from cryptobot_assets.storage.backup_manifest import read_manifest
from cryptobot_assets.storage.backup_restore import Restore
from cryptobot_assets.storage.metadata import release_metadata


def run_restore(settings: Settings, url: str, name: str | None, *, only: str | None, replace: bool) -> None:
    """Restore a backup, the newest unless told, after saying what it replaces."""
    place = backup_place(settings, url)
    manifest = read_manifest(place, name or require_names(place)[-1])
    restore = Restore(place, manifest, settings, with_store=only != "home", with_home=only != "store")
    try:
        with HomeLock(settings.home, "cryptobot restore"):
            occupied = restore.occupied()
            if occupied and not replace:
                raise UsageError(f"{'; '.join(occupied)}: --replace puts the backup in its place")
            say(f"  {told(manifest)}")
            for part in restore.parts():
                say(f"  into {part}")
            restore.run(watch)
            if restore.with_home and manifest.databases:
                _end_runs_of_the_past(settings)
    finally:
        release_metadata(settings)
    say("  Restored: every row, version and file is as it was then.")


def _end_runs_of_the_past(settings: Settings) -> None:
    """Runs that were going on at the backup's instant, its own among them, go on no more."""
    with open_instance(settings) as instance:
        for run in instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES)):
            instance.report_run_canceled(run, "it was going on when the backup was made that this is restored from")

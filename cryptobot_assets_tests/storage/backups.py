"""What tests of backups share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from cryptobot_assets.progress import Progress, Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup import backup_place, make_backup
from cryptobot_assets.storage.backup_databases import restore_database
from cryptobot_assets.storage.backup_manifest import backup_names, read_manifest
from cryptobot_assets.storage.backup_objects import ObjectReader
from cryptobot_assets.storage.backup_restore import Restore


def unwatched(title: str, megabytes: float) -> AbstractContextManager[Progress]:
    """Work that nobody watches."""
    return nullcontext(Silent())


@dataclass
class Watcher:
    """Watches work of one title, and does something at its n-th step."""

    title: str
    at: int
    do: Callable[[], None]
    steps: list[str] = field(default_factory=list)
    watching: bool = False

    def __call__(self, title: str, megabytes: float) -> AbstractContextManager[Watcher]:
        self.watching = title == self.title
        return nullcontext(self)

    def advance(self, stage: str, *, steps: float = 0, rows: int = 0, note: str = "") -> None:
        """One more step."""
        if self.watching:
            self.steps.append(note)
            if len(self.steps) == self.at:
                self.do()


def interrupt() -> None:
    """As Ctrl-C does."""
    raise KeyboardInterrupt


def kill_this_process() -> None:
    """As `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def back_up_and_die(home: Path, at: int) -> None:
    """Begin a backup of a home and be killed at its n-th step; for a process of its own."""
    make_backup(Settings.load(home=home), Watcher("Back up", at, kill_this_process))


def restore_and_die(home: Path, at: int) -> None:
    """Begin to restore a home's newest backup and be killed at its n-th step; for a process of its own."""
    newest_restore(Settings.load(home=home)).run(Watcher("Restore", at, kill_this_process))


def newest_restore(settings: Settings) -> Restore:
    """The newest backup, about to be restored where it was made."""
    place = backup_place(settings)
    return Restore(place, read_manifest(place, backup_names(place)[-1]), settings)


def restore_database_and_die(home: Path, url: str, at: int) -> None:
    """Begin to restore a database and be killed at its n-th step; for a process of its own."""
    restore = newest_restore(Settings.load(home=home))
    watcher = Watcher("", at, kill_this_process, watching=True)
    reader = ObjectReader(restore.place, restore.manifest.name)
    restore_database("mlflow", url, restore.manifest, reader, lambda size, path: watcher.advance("", note=path))

"""Downloaded models on disk: each version once, shared by workers and kept over restarts.

    <root>/<name>/<version>/<run>/   a whole model folder, put there by one rename
    <root>/.in-force/                which of them have served as champions

The run's id is part of the address because a registry that was started afresh counts its versions
from 1 again.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from cryptobot_assets.serving.in_force import InForce
from cryptobot_assets.serving.lineup import ModelVersion

KEPT_VERSIONS = 10

logger = logging.getLogger(__name__)

Download = Callable[[Path], object]
"""Fetches a model's files into a folder that does not exist yet."""


class ModelCache:
    """Model folders below one root; safe to use from several processes at once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, version: ModelVersion, download: Download) -> Path:
        """The version's model folder, downloaded when it is not here yet."""
        target = self._address(version)
        if target.is_dir():
            return target
        home = target.parent.parent
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home / ".lock"):
            if not target.is_dir():
                self._fetch(target, home, download)
                logger.info("downloaded %s version %s", version.name, version.version)
                _prune(home, keep=target)
        return target

    def holds(self, version: ModelVersion) -> bool:
        """Whether the version is here already."""
        return self._address(version).is_dir()

    def in_force(self, market: str) -> InForce:
        """Which of the versions here have served a market as its champion."""
        return InForce(self._root, market)

    def discard(self, version: ModelVersion) -> None:
        """Forget a version whose files turned out damaged."""
        shutil.rmtree(self._address(version), ignore_errors=True)

    def _address(self, version: ModelVersion) -> Path:
        return (
            self._root / quote(version.name, safe="") / quote(version.version, safe="") / quote(version.run_id, safe="")
        )

    def _fetch(self, target: Path, home: Path, download: Download) -> None:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=home) as part:
            fetched = Path(part, "model")
            download(fetched)
            target.parent.mkdir(parents=True, exist_ok=True)
            fetched.replace(target)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _prune(home: Path, *, keep: Path) -> None:
    """Remove all but the newest downloads; a loaded model no longer needs its files."""
    folders = sorted(home.glob("[!.]*/*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[KEPT_VERSIONS:]:
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)

"""The files of one embedded PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

TEMPORARY = Path("/tmp")  # noqa: S108 not $TMPDIR: every process must come to the same name
PLAIN_PATH = re.compile(r"^[A-Za-z0-9/._-]{1,85}$")


@dataclass(frozen=True)
class Layout:
    """Names below `directory` (absolute, links resolved), and the role that owns everything.

    `data` belongs to the server's account; the rest to whoever runs the platform.
    """

    directory: Path
    role: str = "cryptobot"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "postgres.log"

    @property
    def holders_lock(self) -> Path:
        """Every holder keeps a shared lock on it."""
        return self.directory / "holders.lock"

    @property
    def guard_lock(self) -> Path:
        """The guard keeps an exclusive lock on it while it lives, and writes its pid into it."""
        return self.directory / "guard.lock"

    @property
    def start_lock(self) -> Path:
        """Held while looking for a guard or starting one, so that two never start at once."""
        return self.directory / "start.lock"

    @property
    def postmaster_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def sockets(self) -> Path:
        """Where the Unix socket lies: `run` here, or a short private name where this path is no good.

        A socket's path is limited to 107 bytes, and must be plain to stand in a URL unescaped.
        """
        inside = self.directory / "run"
        if PLAIN_PATH.match(str(inside)):
            return inside
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return TEMPORARY / f"cryptobot-{digest}"

    def postmaster_lines(self) -> list[str]:
        """Lines of PostgreSQL's own pid file, empty when there is none."""
        try:
            return [line.strip() for line in self.postmaster_file.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def remove_sockets(self) -> None:
        """Take a socket directory outside the home away again."""
        if self.sockets.parent == self.directory or not self.sockets.is_dir():
            return
        for path in self.sockets.iterdir():
            path.unlink()
        self.sockets.rmdir()

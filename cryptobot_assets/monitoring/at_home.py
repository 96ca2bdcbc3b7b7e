"""What the home tells: room on its disk, and served predictions that wait to be stored."""

from __future__ import annotations

import shutil
from pathlib import Path

from cryptobot_assets.monitoring.families import Figure
from cryptobot_assets.storage.served_spool import waiting


def home_figures(home: Path) -> list[Figure]:
    """Figures of a home; raises `OSError` where it cannot be read."""
    room, spool = shutil.disk_usage(home), waiting(home)
    return [
        Figure("cryptobot_home_free_bytes", room.free),
        Figure("cryptobot_home_size_bytes", room.total),
        Figure("cryptobot_spool_files", spool.files),
        Figure("cryptobot_spool_bytes", spool.bytes),
        Figure("cryptobot_spool_unreadable_bytes", spool.unreadable_bytes),
    ]

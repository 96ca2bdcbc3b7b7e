"""How a library says that a disk is full, and what to tell people then."""

from __future__ import annotations

import re

FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large", re.IGNORECASE)
MAKE_ROOM = "free some and run it again"


def is_full(error: Exception) -> bool:
    """Whether it says that the disk, or this user's share of it, is full."""
    return FULL.search(str(error)) is not None

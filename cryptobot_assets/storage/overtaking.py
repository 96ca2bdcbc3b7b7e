"""Writes made of what was read before: made again when somebody else has written meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from cryptobot_assets.errors import Overtaken

OVERTAKINGS = 20
"""How often somebody else may come first; a write takes some hundredths of a second."""


def until_not_overtaken(read_and_write: Callable[[], None]) -> None:
    """Call it until it is not overtaken.

    Raises:
        StoreError: others kept writing.
    """
    for _ in range(OVERTAKINGS - 1):
        try:
            return read_and_write()
        except Overtaken:
            continue
    return read_and_write()

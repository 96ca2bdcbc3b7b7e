"""How long work tells of itself: a count of rows and steps, drawn by whoever watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told by assets while they work; drawing is someone else's."""

    def advance(self, stage: str, *, steps: float = 0, rows: int = 0, note: str = "") -> None:
        """`steps` more of a stage's steps are done and `rows` more rows written."""


class Silent:
    """The progress nobody watches."""

    def advance(self, stage: str, *, steps: float = 0, rows: int = 0, note: str = "") -> None:
        """Nothing is shown."""

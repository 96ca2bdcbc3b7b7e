"""What a part of the comparison found: lines of a table, a panel of the picture, facts for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from matplotlib.axes import Axes


class Finding(Protocol):
    """Shown in the table, drawn in the picture, written as JSON."""

    @property
    def height_inches(self) -> float:
        """Of its panel."""

    def lines(self) -> Sequence[str]:
        """The heading, the setting in words, and a line a row."""

    def draw(self, panel: Axes) -> None:
        """Fill the panel."""

    def facts(self) -> dict[str, Any]:
        """All of it, for JSON."""

"""What a part of the comparison found: lines of a table, a panel of the picture, facts for JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Protocol

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullLocator

LETTERS_A_LINE = 112


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


def name_panel(panel: Axes, title: str, setting: str) -> None:
    """The heading, and the setting in as many lines as it needs."""
    panel.set_title(f"{title}\n{textwrap.fill(setting, LETTERS_A_LINE)}", fontsize=8, loc="left")


def plain_numbers(axis: Axis) -> None:
    """1, 2, 5, 10 ... along a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())

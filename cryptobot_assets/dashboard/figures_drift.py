"""The figure of drift."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from cryptobot_assets.dashboard.figures import BLUE, GREY, ORANGE, blank
from cryptobot_assets.domain.drift import Drift

MOST_DRAWN = 20


def drift_figure(drifts: Sequence[Drift]) -> go.Figure:
    """Index of each feature beside its usual range, the furthest beyond it first."""
    drawn = drifts[:MOST_DRAWN]
    names = [one.feature for one in drawn]
    made = blank("", x_title="population stability index", height=26 * len(drawn) + 110)
    colours = [ORANGE if one.drifted else BLUE for one in drawn]
    made.add_bar(x=[one.index for one in drawn], y=names, orientation="h", marker_color=colours, name="index")
    if any(one.usual is not None for one in drawn):
        _mark_usual(made, drawn, names)
    made.update_yaxes(autorange="reversed")
    return made.update_layout(hovermode="closest")


def _mark_usual(made: go.Figure, drawn: Sequence[Drift], names: Sequence[str]) -> None:
    made.add_scatter(
        x=[one.usual for one in drawn], y=names, mode="markers", name="usual (90 %)",
        marker={"symbol": "line-ns-open", "size": 14, "color": GREY, "line": {"width": 2}},
    )  # fmt: skip

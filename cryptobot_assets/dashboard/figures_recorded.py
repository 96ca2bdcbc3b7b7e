"""Figures of what was recorded as it happened: the paper bot's accounts, and errors of served predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import plotly.graph_objects as go
import polars as pl

from cryptobot_assets.dashboard.figures import BLUE, GREEN, GREY, ORANGE, PERCENT, blank

ACCOUNT_LINES = {
    "bitcoin": ("holding Bitcoin", ORANGE),
    "universe": ("holding all (control)", GREEN),
    "bot": ("paper bot", BLUE),
}
VERSION_COLOURS = (BLUE, ORANGE, GREEN, "#7c3aed", "#dc2626")


def accounts_figure(lines: Mapping[str, pl.DataFrame], versions: Sequence[tuple[datetime, str]]) -> go.Figure:
    """Each account as a multiple of its capital: by account, columns time and the value, thinned already.

    Args:
        versions: from when on which version ranked; all but the first are marked.
    """
    made = blank("multiple of capital")
    for account, (name, colour) in ACCOUNT_LINES.items():
        if account in lines:
            points = lines[account]
            value = next(column for column in points.columns if column != "time")
            made.add_scatter(x=points["time"], y=points[value], name=name, line={"color": colour, "width": 1.6})
    made.add_hline(y=1, line={"color": GREY, "width": 1, "dash": "dot"})
    for time, version in versions[1:]:
        made.add_vline(x=time, line={"color": ORANGE, "width": 1, "dash": "dash"})
        made.add_annotation(
            x=time, y=1, yref="paper", yanchor="top", xanchor="left", showarrow=False, text=version,
            font={"size": 10, "color": ORANGE},
        )  # fmt: skip
    made.update_yaxes(tickformat=".3f")
    return made


def served_figure(days: pl.DataFrame) -> go.Figure:
    """Error against predicting zero of each version and day: columns algorithm, version, time, mse, mse_zero."""
    made = blank("error against predicting zero (%)", PERCENT)
    parts = days.group_by(["algorithm", "version"], maintain_order=True)
    for place, ((algorithm, version), part) in enumerate(parts):
        made.add_scatter(
            x=part["time"], y=part["mse"] / part["mse_zero"] - 1, name=f"{algorithm} {version}", mode="lines+markers",
            line={"color": VERSION_COLOURS[place % len(VERSION_COLOURS)]}, customdata=part["rows"],
            hovertemplate="%{y:.2%} of %{customdata:,} rows",
        )  # fmt: skip
    made.add_hline(y=0, line={"color": GREY, "width": 1})
    return made.update_layout(showlegend=True)

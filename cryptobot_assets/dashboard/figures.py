"""Figures of the dashboard. The one home of plotly.

Titles, readings and units: a figure names its axes with their units; its title stands above it as
text, which a narrow screen can wrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import plotly.graph_objects as go
import polars as pl

HEIGHT = 320
BLUE, ORANGE, GREY, GREEN = "#2563eb", "#d97706", "#6b7280", "#059669"
SHADE, FAINT = "rgba(37, 99, 235, 0.16)", "rgba(107, 114, 128, 0.35)"
PERCENT = ".2%"
KINDS = {"outage": GREY, "halt": GREEN, "missing": "#dc2626", "not recorded": "#7c3aed"}
"""Colours of kinds of gaps."""
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Shown:
    """A figure with what stands around it.

    Attributes:
        title: above it. reading: one sentence below the title, how to read it.
    """

    name: str
    title: str
    reading: str
    figure: go.Figure


def price_figure(closes: pl.DataFrame, cutoffs: Sequence[tuple[datetime, str]], currency: str) -> go.Figure:
    """Closes over time: columns time, close, thinned already."""
    made = blank(f"close (USDT per {currency.removesuffix('USDT')})")
    made.add_scatter(x=closes["time"], y=closes["close"], name="close", line={"color": GREY, "width": 1.4})
    return marked(made, cutoffs).update_layout(showlegend=False)


def return_figure(
    predicted: pl.DataFrame, realised: pl.DataFrame, cutoffs: Sequence[tuple[datetime, str]]
) -> go.Figure:
    """Predicted and realised return over time: columns time and the value, thinned already."""
    made = blank("24 h return (%)", PERCENT)
    made.add_scatter(
        x=realised["time"], y=realised["realised_return"], name="realised", line={"color": GREY, "width": 1}
    )
    made.add_scatter(
        x=predicted["time"], y=predicted["predicted_return"], name="predicted", line={"color": BLUE, "width": 1.6}
    )
    made.add_hline(y=0, line={"color": GREY, "width": 1, "dash": "dot"})
    return marked(made, cutoffs)


def blank(y_title: str, y_format: str | None = None, *, x_title: str = "time (UTC)", height: int = HEIGHT) -> go.Figure:
    """A figure without traces, its axes named."""
    made = go.Figure()
    made.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        hovermode="x unified",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
    )
    made.update_xaxes(title=x_title, automargin=True)
    made.update_yaxes(title=y_title, automargin=True, tickformat=y_format)
    return made


def marked(made: go.Figure, cutoffs: Sequence[tuple[datetime, str]]) -> go.Figure:
    """The figure with an upright dashed line at each cutoff."""
    for cutoff, version in cutoffs:
        made.add_vline(x=cutoff, line={"color": ORANGE, "width": 1, "dash": "dash"})
        made.add_annotation(
            x=cutoff, y=1, yref="paper", yanchor="top", xanchor="left", showarrow=False,
            text=f"cutoff, v{version}", font={"size": 10, "color": ORANGE},
        )  # fmt: skip
    return made


def missing_figure(days: pl.DataFrame) -> go.Figure:
    """Klines lacking on each day, by kind: columns time, kind, rows."""
    made = blank("klines lacking (a day)")
    for (kind,), part in days.group_by(["kind"], maintain_order=True):
        colour = KINDS.get(str(kind), ORANGE)
        made.add_bar(x=part["time"], y=part["rows"], name=str(kind), marker_color=colour, width=DAY_MS, offset=0)
    return made.update_layout(barmode="stack", showlegend=True)

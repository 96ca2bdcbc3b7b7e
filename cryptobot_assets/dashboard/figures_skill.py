"""Figures of skill and of value: errors, IC, calibration, equity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import plotly.graph_objects as go
import polars as pl

from cryptobot_assets.dashboard.figures import BLUE, FAINT, GREEN, GREY, PERCENT, SHADE, blank, marked
from cryptobot_assets.domain.curves import Band, Calibration, Density, SkillCourse
from cryptobot_assets.domain.intervals import DAY

Cutoffs = Sequence[tuple[datetime, str]]
HALF_WEEK = 3.5 * DAY


def error_figure(course: pl.DataFrame, cutoffs: Cutoffs) -> go.Figure:
    """Mean squared error of each day, and that of predicting zero."""
    made = blank("mean squared error (24 h return\N{SUPERSCRIPT TWO})")
    made.add_scatter(x=course["time"], y=course["mse_zero"], name="predicting zero", line={"color": GREY})
    made.add_scatter(x=course["time"], y=course["mse"], name="model", line={"color": BLUE, "dash": "dot"})
    made.update_yaxes(rangemode="tozero", exponentformat="power")
    return marked(made, cutoffs)


def relative_figure(course: pl.DataFrame, cutoffs: Cutoffs) -> go.Figure:
    """Error against predicting zero: of each day, and of all days so far."""
    made = blank("error against predicting zero (%)", PERCENT)
    made.add_bar(x=course["time"], y=course["mse"] / course["mse_zero"] - 1, name="day", marker_color=FAINT)
    made.add_scatter(x=course["time"], y=course["so_far"], name="all days so far", line={"color": BLUE})
    made.add_hline(y=0, line={"color": GREY, "width": 1})
    return marked(made, cutoffs)


def skill_figure(course: SkillCourse) -> go.Figure:
    """IC of each week, and its mean so far with the band."""
    made = blank("IC (rank correlation, -1 to 1)")
    middles = [week + HALF_WEEK for week in course.weeks]
    made.add_bar(x=middles, y=course.of_week, name="week", marker_color=FAINT)
    _band(made, middles, course.band, "mean so far, 90 %")
    made.add_scatter(x=middles, y=course.so_far, name="mean so far", mode="lines+markers", line={"color": BLUE})
    made.add_hline(y=0, line={"color": GREY, "width": 1})
    return made


def calibration_figure(tenths: Calibration) -> go.Figure:
    """Mean outcome of each tenth of the predictions."""
    made = blank("mean realised 24 h return (%)", PERCENT, x_title="mean predicted 24 h return of the tenth (%)")
    ends = [float(tenths.predicted.min()), float(tenths.predicted.max())]
    made.add_scatter(x=ends, y=ends, name="as predicted", mode="lines", line={"color": GREY, "dash": "dash"})
    lows, highs = tenths.band or (tenths.realised, tenths.realised)
    reach = {"array": highs - tenths.realised, "arrayminus": tenths.realised - lows, "symmetric": False, "width": 0}
    made.add_scatter(
        x=tenths.predicted, y=tenths.realised, error_y=reach, name="realised, with 90 %", mode="lines+markers",
        line={"color": BLUE}, customdata=tenths.rows, hovertemplate="%{y:.2%} of %{customdata:,} rows",
    )  # fmt: skip
    made.update_xaxes(tickformat=PERCENT)
    return made


def cloud_figure(cloud: Density, tenths: Calibration) -> go.Figure:
    """How many rows fall where, of prediction and outcome."""
    made = blank("realised 24 h return (%)", PERCENT, x_title="predicted 24 h return (%)", height=380)
    x, y = (edges[:-1] + np.diff(edges) / 2 for edges in (cloud.predicted, cloud.realised))
    made.add_heatmap(
        x=x, y=y, z=cloud.counts.T, colorscale=[[0, "rgba(37,99,235,0)"], [1, "rgba(37,99,235,0.9)"]],
        colorbar={"title": "rows", "thickness": 10}, hovertemplate="%{z} rows<extra></extra>", name="rows",
    )  # fmt: skip
    made.add_scatter(
        x=tenths.predicted, y=tenths.realised, name="mean of each tenth", mode="lines+markers", line={"color": BLUE}
    )
    made.add_hline(y=0, line={"color": GREY, "width": 1})
    made.update_layout(hovermode="closest")
    made.update_xaxes(tickformat=PERCENT)
    return made


def currency_figure(skills: pl.DataFrame) -> go.Figure:
    """Rank correlation over time of each currency, best first: columns currency, ic, reach."""
    height = max(180, 26 * skills.height + 90)
    made = blank("", x_title="rank correlation over time (-1 to 1)", height=height)
    reach = float(skills.select(pl.max("reach")).item())
    made.add_vrect(x0=-reach, x1=reach, fillcolor=GREY, opacity=0.15, line_width=0)
    made.add_bar(x=skills["ic"], y=skills["currency"], orientation="h", marker_color=BLUE, name="IC")
    made.update_yaxes(autorange="reversed")
    return made.update_layout(showlegend=False, hovermode="closest")


def equity_figure(
    times: Sequence[datetime], net: np.ndarray, band: Band | None, held: np.ndarray, cutoffs: Cutoffs
) -> go.Figure:
    """The pool's net value beside simply holding, logarithmic."""
    made = blank("multiple of capital (log scale)")
    _band(made, times, band, "net, 90 %")
    made.add_scatter(x=times[: len(held)], y=held, name="holding all (control)", line={"color": GREEN})
    made.add_scatter(x=times, y=net, name="24 sleeves, net", line={"color": BLUE})
    made.add_hline(y=1, line={"color": GREY, "width": 1, "dash": "dot"})
    made.update_yaxes(type="log", tickformat=".3g", nticks=6, minor={"showgrid": False})
    return marked(made, cutoffs)


def _band(made: go.Figure, times: Sequence[datetime], band: Band | None, name: str) -> None:
    if band is None:
        return
    lows, highs = band
    blank_line = {"width": 0}
    made.add_scatter(x=times, y=lows, line=blank_line, showlegend=False, hoverinfo="skip", mode="lines")
    made.add_scatter(x=times, y=highs, line=blank_line, fill="tonexty", fillcolor=SHADE, name=name, mode="lines")

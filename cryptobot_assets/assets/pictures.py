"""Pictures of results as PNG bytes, and as Markdown the Dagster UI shows. The one home of matplotlib."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cryptobot_assets.domain.instants import earliest, latest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 2_000
MARGINS = {"left": 0.85, "right": 0.2, "bottom": 0.55, "top": 0.35}
"""Inches around the axes, room for their labels."""

BLUE, ORANGE, GREY, GREEN = "#2563eb", "#ea580c", "#64748b", "#15803d"


def as_markdown(png: bytes, title: str) -> str:
    """A PNG as an image the UI renders in place."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def draw(
    paint: Callable[[Figure], None], *, width: float = 9.0, height: float = 3.6, left: float = MARGINS["left"]
) -> bytes:
    """PNG bytes of what `paint` draws on a fresh figure; sizes in inches."""
    from matplotlib.figure import Figure  # imported with the first picture, like its dates below

    figure = Figure(figsize=(width, height), dpi=100)
    paint(figure)
    # Fixed margins: measuring every label to lay the figure out costs more than drawing it.
    figure.subplots_adjust(
        left=left / width,
        right=1 - MARGINS["right"] / width,
        bottom=MARGINS["bottom"] / height,
        top=1 - MARGINS["top"] / height,
        hspace=0.12,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _dated(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.grid(alpha=0.25)


def _times(frame: pl.DataFrame) -> np.ndarray:
    return frame["time"].dt.replace_time_zone(None).to_numpy()


def thinned(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows enough for a picture, evenly taken."""
    return frame.gather_every(max(frame.height // MOST_POINTS, 1))


def kline_picture(klines: pl.DataFrame, count: int | None = None) -> str:
    """Close and volume of one currency, as Markdown; the klines may stand for `count` of them."""
    if klines.is_empty():
        return "No klines in this range."
    title = f"{klines['currency'][0]}, {count or klines.height:,} klines"

    def paint(figure: Figure) -> None:
        price, volume = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        shown = thinned(klines)
        price.plot(_times(shown), shown["close"], color=BLUE, linewidth=0.8)
        price.set(ylabel="close (quote)", title=title)
        volume.fill_between(_times(shown), shown["volume"].to_numpy(), color=GREY, linewidth=0)
        volume.set(ylabel="volume\n(base)", xlabel="time (UTC)")
        price.grid(alpha=0.25)
        _dated(volume)

    return as_markdown(draw(paint), title)


def indicator_picture(indicators: pl.DataFrame, count: int | None = None) -> str:
    """Scaled close and moving-average differences of one currency, as Markdown; rows may stand for `count`."""
    if indicators.is_empty():
        return "No indicators in this range."
    title = f"{indicators['currency'][0]}, {count or indicators.height:,} rows of indicators"

    def paint(figure: Figure) -> None:
        scaled, averages = figure.subplots(2, 1, sharex=True)
        shown = thinned(indicators)
        scaled.plot(_times(shown), shown["close_minmax_scale"], color=BLUE, linewidth=0.8)
        scaled.set(ylabel="close_minmax_scale", ylim=(-0.05, 1.05), title=title)
        for name, colour in (("ma7_25h_scale", ORANGE), ("ma25_99h_scale", GREEN), ("ma7_25d_scale", GREY)):
            averages.plot(_times(shown), shown[name], color=colour, linewidth=0.8, label=name)
        averages.set(ylabel="share of close", xlabel="time (UTC)")
        averages.legend(fontsize=8, loc="upper left", ncols=3)
        scaled.grid(alpha=0.25)
        _dated(averages)

    return as_markdown(draw(paint), title)


COVERED = {
    "whole": "#dcfce7",
    "not_listed": "#e2e8f0",
    "delisted": "#94a3b8",
    "outage": "#fde047",
    "halt": "#fb923c",
    "missing": "#dc2626",
}
"""Colour of a day by the gravest kind of gap it has, gravest last."""

MOST_CURRENCIES = 60
ROW_INCHES = 0.17


def coverage_picture(coverage: pl.DataFrame) -> str:
    """A currency a row and a day a column, coloured by the gravest kind of gap, as Markdown; white was not ingested.

    Args:
        coverage: rows of the table `coverage`, one or more; of many currencies those that lack most are drawn.
    """
    kinds = list(COVERED)[1:]
    lacking = coverage.group_by("currency").agg(pl.col(kinds).sum())
    order = lacking.sort(*reversed(kinds), "currency", descending=[True] * len(kinds) + [False])["currency"]
    names = order.head(MOST_CURRENCIES).sort().to_list()
    shown = coverage.filter(pl.col("currency").is_in(names))
    first = earliest(shown["time"])
    days = (latest(shown["time"]) - first).days + 1
    cells = np.full((len(names), days), np.nan)
    rows = shown["currency"].cast(pl.Enum(names)).to_physical().to_numpy()
    columns = (shown["time"] - first).dt.total_days().to_numpy()
    gravest = np.zeros(shown.height)
    for number, kind in enumerate(kinds, start=1):
        gravest[shown[kind].to_numpy() > 0] = number
    cells[rows, columns] = gravest

    def paint(figure: Figure) -> None:
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        axes = figure.subplots()
        colours = ListedColormap(list(COVERED.values()))
        axes.imshow(cells, cmap=colours, vmin=-0.5, vmax=len(COVERED) - 0.5, aspect="auto", interpolation="nearest")
        axes.set_yticks(range(len(names)), names, fontsize=7)
        ticks = range(0, days, max(days // 8, 1))
        axes.set_xticks(ticks, [f"{first + timedelta(days=day):%m-%d}" for day in ticks])
        axes.set(xlabel=f"day of {first:%Y} (UTC)")
        patches = [Patch(facecolor=colour, label=kind) for kind, colour in COVERED.items()]
        axes.legend(
            handles=patches, fontsize=8, ncols=len(patches), frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1)
        )

    title = f"Klines lacking, {len(names)} currencies"
    return as_markdown(draw(paint, height=2 + ROW_INCHES * len(names), left=1.1), title)


def actual_against_predicted(rows: pl.DataFrame, title: str) -> bytes:
    """Scatter of realised on predicted 24 h returns, with the mean realised of each predicted decile.

    Args:
        rows: columns predicted_return, realised_return, no nulls.
    """
    deciles = (
        rows.sort("predicted_return")
        .with_row_index("n")
        .group_by((pl.col("n") * 10 // rows.height).alias("decile"), maintain_order=True)
        .agg(pl.col("predicted_return", "realised_return").mean())
    )

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        shown = thinned(rows)
        axes.scatter(shown["predicted_return"] * 100, shown["realised_return"] * 100, s=4, alpha=0.25, color=GREY)
        axes.plot(
            deciles["predicted_return"] * 100,
            deciles["realised_return"] * 100,
            "o-",
            color=ORANGE,
            label="mean of each tenth",
        )
        low, high = np.quantile(rows["realised_return"].to_numpy() * 100, [0.005, 0.995])
        axes.set(title=title, xlabel="predicted 24 h return (%)", ylabel="realised 24 h return (%)", ylim=(low, high))
        axes.axhline(0, color="black", linewidth=0.6)
        axes.axvline(0, color="black", linewidth=0.6)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)

    return draw(paint, width=6.5, height=4.2)


def importance_picture(importance: dict[str, float], title: str) -> bytes:
    """The twelve largest shares of importance as bars."""
    top = sorted(importance.items(), key=lambda item: -abs(item[1]))[:12][::-1]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh([name for name, _ in top], [value for _, value in top], color=BLUE)
        axes.set(title=title, xlabel="importance (share)")
        axes.grid(alpha=0.25, axis="x")

    return draw(paint, width=6.5, height=4.2, left=1.6)


def equity_picture(curves: dict[str, tuple[np.datetime64, np.ndarray]], control: np.ndarray | None) -> bytes:
    """Net pool value of each algorithm, a point a day, against the control, from 1.

    Args:
        curves: by algorithm, its first decision hour and its value after each day.
        control: value of holding after each day from the same first hour.
    """

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        first = None
        for name, (first, values) in curves.items():
            axes.plot(_days(first, len(values)), values, linewidth=1.1, label=name)
        if control is not None and first is not None:
            axes.plot(_days(first, len(control)), control, color="black", linewidth=2, label="control (holding)")
        axes.set(title="Pool value net of costs, out of sample", xlabel="time (UTC)", ylabel="multiple of capital")
        _dated(axes)
        axes.legend(fontsize=7, ncols=3)

    return draw(paint, height=4.4)


def _days(first: np.datetime64, count: int) -> np.ndarray:
    return first + np.arange(count) * np.timedelta64(1, "D")


def trial_picture(values: Sequence[float], title: str) -> bytes:
    """Objective of each tuning trial and the best so far."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        best = np.fmin.accumulate(np.asarray(values, dtype=float))
        axes.plot(values, "o", color=GREY, markersize=4, label="trial")
        axes.plot(best, color=ORANGE, label="best so far")
        axes.set(title=title, xlabel="trial", ylabel="mean squared error over folds")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)

    return draw(paint, width=6.5, height=3.4)

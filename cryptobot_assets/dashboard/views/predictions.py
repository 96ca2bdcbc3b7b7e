"""The first page: price, and what was predicted beside what came of it."""

from __future__ import annotations

import polars as pl

from cryptobot_assets.dashboard import queries
from cryptobot_assets.dashboard.figures import Shown, price_figure, return_figure
from cryptobot_assets.dashboard.opening import Place
from cryptobot_assets.dashboard.queries import Selection
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import empty, heading, show, tiles
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.thinning import COLUMNS, line_points
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS


def predictions_page(where: Place, chosen: Selection) -> None:
    """Price and returns of one currency over the chosen days."""
    heading("Predictions", told(chosen))
    rows = held.ask(where, queries.prediction_rows, chosen, of=(PREDICTIONS,))
    closes = held.ask(where, queries.close_rows, chosen.currency, chosen.span, of=(INDICATORS,))
    if rows.is_empty():
        empty(
            f"{chosen.algorithm} scored no row of {chosen.currency} in these days",
            "Choose another version, or later days: a version only scores rows at or after its cutoff.",
        )
        return
    show_counts(rows, chosen, where)
    for shown in prediction_figures(rows, closes, chosen, where.settings.interval):
        show(shown)


def told(chosen: Selection) -> str:
    """What is shown, in one line."""
    version = "every version in turn" if chosen.version is None else f"version {chosen.version}"
    return (
        f"{chosen.currency}, {chosen.span.days} (UTC), {chosen.algorithm} of market {chosen.market}, {version}. "
        "Every row is out of sample."
    )


def show_counts(rows: pl.DataFrame, chosen: Selection, where: Place) -> None:
    """How much there is, and the newest prediction."""
    counts = queries.counted(rows, chosen.span, where.settings.interval)
    newest = rows.row(-1, named=True)
    known = rows.drop_nulls("realised_return")
    went_up = pl.col("realised_return") > 0
    right = (pl.col("predicted_return") > 0) == went_up
    hits, up = known.select(right.mean().alias("right"), went_up.mean().alias("up")).row(0)
    tiles(
        ("newest prediction", f"{newest['predicted_return']:+.2%}", f"{newest['time']:%Y-%m-%d %H:%M} UTC"),
        ("rows scored", f"{counts['rows']:,}", f"of {counts['instants']:,} instants"),
        (
            "direction right",
            f"{hits:.1%}" if known.height else "n/a",
            f"went up: {up:.1%}" if known.height else "no outcome known yet",
        ),
    )


def prediction_figures(rows: pl.DataFrame, closes: pl.DataFrame, chosen: Selection, interval: str) -> list[Shown]:
    """The figures of the page, thinned for a screen."""
    step = interval_delta(interval)
    cutoffs = queries.cutoffs_within(rows, chosen.span)
    days = [chosen.span.start, chosen.span.end]
    price = line_points(closes, "close", step=step)
    lines = {name: line_points(rows, name, step=step) for name in ("predicted_return", "realised_return")}
    return [
        Shown(
            "price",
            f"Price of {chosen.currency}",
            f"Close of each {interval} kline. {thinned(closes.height, price.height)}",
            price_figure(price, cutoffs, chosen.currency).update_xaxes(range=days),
        ),
        Shown(
            "returns",
            "Predicted and realised 24 h return",
            "Both stand at the time of the row that was scored; the outcome was known 24 hours later. Dashed: cutoff "
            "of the version in force from there on. "
            + thinned(rows.height, max(points.height for points in lines.values())),
            return_figure(lines["predicted_return"], lines["realised_return"], cutoffs).update_xaxes(range=days),
        ),
    ]


def thinned(rows: int, points: int) -> str:
    """In words, whether every row is drawn."""
    if points >= rows:
        return f"All {rows:,} rows are drawn."
    return (
        f"Drawn are the lowest and the highest of each of {COLUMNS} columns of the chart: {points:,} points of "
        f"{rows:,} rows, the same line on a screen."
    )

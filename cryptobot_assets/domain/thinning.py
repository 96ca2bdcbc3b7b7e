"""Fewer points of a long series to draw, none of its highs and lows lost.

A screen has some hundred columns of pixels; whatever falls into one column is drawn as the stretch
from its lowest to its highest value. So a column's lowest and highest row draw the same picture as
all its rows::

    rows     .:|':..|.    .'|.:          two rows a column
    columns  |----|----|----|----|  -->  and a hole where a column has none
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

COLUMNS = 700
"""Columns of pixels a chart is drawn in."""


def thin(rows: pl.DataFrame, value: str, *, columns: int = COLUMNS) -> pl.DataFrame:
    """The rows that draw the same line as all: of each of `columns` equal spans the lowest and the highest.

    Args:
        rows: `time` (sorted, unique) and `value`, among others; rows without a value are left out.

    Returns:
        time and `value`, sorted by time: all rows where they are at most two a column.
    """
    known = rows.select("time", value).filter(pl.col(value).is_not_null())
    if known.height <= 2 * columns:
        return known
    since = (pl.col("time") - known["time"][0]).dt.total_microseconds()
    span = (known["time"][-1] - known["time"][0]) // timedelta(microseconds=1) + 1
    ends = (
        known.group_by(since * columns // span)
        .agg(low=pl.col("time").get(pl.col(value).arg_min()), high=pl.col("time").get(pl.col(value).arg_max()))
        .select(pl.concat([pl.col("low"), pl.col("high")]).alias("time"))
        .unique()
    )
    return known.join(ends, on="time", how="semi").sort("time")


def broken(points: pl.DataFrame, *, longest: timedelta) -> pl.DataFrame:
    """The same points with one without a value wherever two are further apart than `longest`.

    A line drawn through them then stops at a hole instead of running over it.
    """
    value = next(name for name in points.columns if name != "time")
    after = points.filter(pl.col("time").diff().shift(-1) > longest)
    holes = after.select(pl.col("time") + longest / 2, pl.lit(None, points.schema[value]).alias(value))
    return pl.concat([points, holes]).sort("time")


def line_points(rows: pl.DataFrame, value: str, *, step: timedelta, columns: int = COLUMNS) -> pl.DataFrame:
    """What to draw of a series with a row each `step`: thinned, and broken where rows are lacking.

    A hole shorter than two columns cannot be seen and is not marked.
    """
    points = thin(rows, value, columns=columns)
    if points.height < 2:
        return points
    span = points["time"][-1] - points["time"][0]
    whole = points.height == rows[value].drop_nulls().len()
    return broken(points, longest=1.5 * step if whole else max(1.5 * step, 2 * span / columns))

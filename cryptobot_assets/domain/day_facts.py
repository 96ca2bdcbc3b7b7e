"""What one day of scored rows adds to a figure: sums, so that any range of days is a sum of its days."""

from __future__ import annotations

import polars as pl

SUMS = ("rows", "squared_error", "squared_zero", "said_up", "went_up", "right")
"""Rows; sums of squared errors, of the prediction and of predicting zero; rows said to go up, that did, and right."""


def day_facts(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums of each day's rows: `time` (first instant of the day) and the columns of `SUMS`, sorted.

    Args:
        rows: time, predicted_return, realised_return (no nulls).
    """
    said, came = pl.col("predicted_return"), pl.col("realised_return")
    return (
        rows.group_by(pl.col("time").dt.truncate("1d"))
        .agg(
            rows=pl.len().cast(pl.Int64),
            squared_error=((said - came) ** 2).sum(),
            squared_zero=(came**2).sum(),
            said_up=(said > 0).sum().cast(pl.Int64),
            went_up=(came > 0).sum().cast(pl.Int64),
            right=((said > 0) == (came > 0)).sum().cast(pl.Int64),
        )
        .sort("time")
    )


def error_course(days: pl.DataFrame) -> pl.DataFrame:
    """Errors day by day: time, mse, mse_zero, and `so_far`, all days up to it together against predicting zero.

    `so_far` is the sum of squared errors over that of predicting zero, less 1: below 0 is better than nothing.
    """
    return days.select(
        "time",
        mse=pl.col("squared_error") / pl.col("rows"),
        mse_zero=pl.col("squared_zero") / pl.col("rows"),
        so_far=pl.col("squared_error").cum_sum() / pl.col("squared_zero").cum_sum() - 1,
    )

"""What served predictions were worth, beside what costs nothing to know.

One row is often asked for many times, so whoever asks most would decide the figures. Each row of a
currency therefore counts once a version, however often it was served::

    served   BTC 10:00  v1, v1, v1 and v2 in shadow      v1: one row   v2: one row   both: one pair
             ETH 10:00  v1                               v1: one row
"""

from __future__ import annotations

import polars as pl

ROW = ("market", "algorithm", "version", "currency", "time")
"""What makes a prediction another one; the same version gives a row the same number each time."""
VERSION = ("market", "algorithm", "version")
SHADOW = "shadow"


def by_version(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Figures of each version over the rows whose outcome is known.

    Args:
        outcomes: rows of `OUTCOME_SCHEMA`.

    Returns:
        market, algorithm, version, `served` (predictions), `answered` (of them not in shadow alone), `rows` that they
        are of, `mse`, `mse_zero` (of predicting zero), `hits` (share whose direction was right), `base_rate` (share
        that the more frequent direction has, right for whoever always says it) and `newest` (time); the version that
        answered most first.
    """
    counts = outcomes.group_by(VERSION).agg(
        served=pl.len(), answered=(pl.col("role") != SHADOW).sum(), newest=pl.col("time").max()
    )
    return counts.join(_rows(outcomes).group_by(VERSION).agg(*_figures()), on=VERSION).sort(
        "answered", *VERSION, descending=[True, False, False, True]
    )


def by_day(outcomes: pl.DataFrame) -> pl.DataFrame:
    """The same errors of each version and day: market, algorithm, version, time, rows, mse, mse_zero, by time."""
    day = pl.col("time").dt.truncate("1d")
    rows = _rows(outcomes).with_columns(time=day).group_by(*VERSION, "time").agg(*_figures())
    return rows.select(*VERSION, "time", "rows", "mse", "mse_zero").sort("time", *VERSION)


def compared(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Two versions on the same rows: the one that answered, and the one that scored the same in shadow.

    Returns:
        `answered` and `shadow` (algorithm and version), `rows`, `mse` and `mse_shadow`, `closer` (share of rows on
        which the shadow was nearer to the outcome), `newest`; most rows first.
    """
    shadows = outcomes.filter(role=SHADOW)
    pairs = outcomes.filter(pl.col("role") != SHADOW).join(
        shadows, on=["prediction_id", "position", "currency", "time"], suffix="_shadow"
    )
    named = pairs.with_columns(answered=_name(""), shadow=_name("_shadow"))
    once = named.unique(["answered", "shadow", "currency", "time"], keep="first")
    errors = once.with_columns(error=_error(""), error_shadow=_error("_shadow"))
    return (
        errors.group_by("answered", "shadow")
        .agg(
            rows=pl.len(),
            mse=pl.col("error").mean(),
            mse_shadow=pl.col("error_shadow").mean(),
            closer=(pl.col("error_shadow") < pl.col("error")).mean(),
            newest=pl.col("time").max(),
        )
        .sort("rows", "answered", "shadow", descending=[True, False, False])
    )


def _rows(outcomes: pl.DataFrame) -> pl.DataFrame:
    return outcomes.unique(ROW, keep="first")


def _figures() -> list[pl.Expr]:
    rose = (pl.col("realised_return") > 0).mean()
    return [
        pl.len().alias("rows"),
        _error("").mean().alias("mse"),
        (pl.col("realised_return") ** 2).mean().alias("mse_zero"),
        ((pl.col("predicted_return") > 0) == (pl.col("realised_return") > 0)).mean().alias("hits"),
        pl.max_horizontal(rose, 1 - rose).alias("base_rate"),
    ]


def _error(suffix: str) -> pl.Expr:
    return (pl.col(f"predicted_return{suffix}") - pl.col("realised_return")) ** 2


def _name(suffix: str) -> pl.Expr:
    return pl.format("{} {}", pl.col(f"algorithm{suffix}"), pl.col(f"version{suffix}"))

"""Gaps: spans of the grid without a kline, recorded and never filled."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cryptobot_assets.domain.grid import microseconds
from cryptobot_assets.domain.intervals import DAY, interval_delta
from cryptobot_assets.domain.sources import Span

PERIODS = {"day": "1d", "month": "1mo"}
GAP_COLUMNS = ("currency", "time", "end", "missing")


def find_gaps(currency: str, times: pl.Series, interval: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Maximal runs of missing klines of one currency in [start, end).

    Args:
        times: open times present, sorted, unique, on the grid and inside the range.

    Returns:
        currency, time (first missing instant), end (first instant after the run), missing (klines).
    """
    step = interval_delta(interval) // timedelta(microseconds=1)
    before, after = (round(bound.timestamp()) * 1_000_000 for bound in (start, end))
    micros = np.concatenate([[before - step], microseconds(times), [after]])
    steps = np.diff(micros) // step
    holes = np.flatnonzero(steps > 1)
    return pl.DataFrame(
        {
            "currency": [currency] * len(holes),
            "time": micros[holes] + step,
            "end": micros[holes + 1],
            "missing": steps[holes] - 1,
        },
        schema={"currency": pl.String, "time": pl.Int64, "end": pl.Int64, "missing": pl.Int64},
    ).with_columns(pl.from_epoch(pl.col("time", "end"), time_unit="us").dt.replace_time_zone("UTC"))


def missing_times(gaps: pl.DataFrame, interval: str) -> pl.Series:
    """Open time of every kline that a table of gaps lacks."""
    times = pl.datetime_ranges("time", "end", interval_delta(interval), closed="left")
    return gaps.select(times.alias("time")).explode("time")["time"].drop_nulls()


def count_missing(gaps: pl.DataFrame, interval: str, *, every: str) -> pl.DataFrame:
    """Klines that gaps lack, counted for each currency and `day` or `month`: currency, time (its start), rows."""
    unit = PERIODS[every]
    following = pl.col("time").dt.truncate(unit).dt.offset_by(unit)
    borders = pl.datetime_ranges(pl.min_horizontal(following, "end"), "end", unit, closed="left")
    pieces = gaps.select("currency", "end", time=pl.concat_list("time", borders)).explode("time")
    step = interval_delta(interval) // timedelta(microseconds=1)
    upto = pl.min_horizontal("end", pl.col("time").dt.truncate(unit).dt.offset_by(unit))
    return (
        pieces.select(
            "currency", pl.col("time").dt.truncate(unit), rows=(upto - pl.col("time")).dt.total_microseconds() // step
        )
        .group_by("currency", "time")
        .agg(pl.col("rows").sum())
        .sort("currency", "time")
    )


def merge_gaps(gaps: pl.DataFrame) -> pl.DataFrame:
    """Join runs that touch, as those cut at a partition's border do; sorted by currency and time."""
    ordered = gaps.sort("currency", "time")
    begins = (pl.col("time") > pl.col("end").shift(1)).fill_null(True).over("currency")
    return (
        ordered.with_columns(run=begins.cum_sum().over("currency"))
        .group_by("currency", "run", maintain_order=True)
        .agg(pl.col("time").first(), pl.col("end").last(), pl.col("missing").sum())
        .select(GAP_COLUMNS)
    )


def clip_gaps(gaps: pl.DataFrame, start: datetime | None, end: datetime | None, interval: str) -> pl.DataFrame:
    """The parts of gaps that lie in [start, end), None for no bound."""
    cut = gaps.with_columns(
        time=pl.col("time") if start is None else pl.max_horizontal("time", pl.lit(start, gaps.schema["time"])),
        end=pl.col("end") if end is None else pl.min_horizontal("end", pl.lit(end, gaps.schema["end"])),
    ).filter(pl.col("end") > pl.col("time"))
    microseconds = interval_delta(interval) // timedelta(microseconds=1)
    return cut.with_columns(missing=(pl.col("end") - pl.col("time")).dt.total_microseconds() // microseconds)


def splice_gaps(held: pl.DataFrame, gaps: pl.DataFrame, start: datetime, end: datetime, interval: str) -> pl.DataFrame:
    """`held` with what it says of [start, end) replaced by `gaps`.

    Runs that touch and are of one kind are one row, so that the same gaps are the same rows in
    whatever pieces they were found.
    """
    before, after = clip_gaps(held, None, start, interval), clip_gaps(held, end, None, interval)
    columns = [pl.col(name).cast(kind) for name, kind in held.schema.items()]
    ordered = pl.concat([before, gaps.select(columns), after.select(columns)]).sort("currency", "time")
    goes_on = (pl.col("time") == pl.col("end").shift(1)) & pl.col("kind").eq_missing(pl.col("kind").shift(1))
    return (
        ordered.with_columns(run=(~goes_on.fill_null(False)).cum_sum().over("currency"))
        .group_by("currency", "run", maintain_order=True)
        .agg(pl.col("time").first(), pl.col("end").last(), pl.col("missing").sum(), pl.col("kind").first())
        .select(held.columns)
    )


def repairable_spans(gaps: pl.DataFrame, *, within: timedelta = DAY) -> dict[str, list[Span]]:
    """What to ask the exchange for again, by currency: gaps missing on our side or not classed yet.

    Those nearer to each other than `within` are asked for together, with the klines between them.
    """
    spans: dict[str, list[Span]] = {}
    wanted = gaps.filter(pl.col("kind").is_null() | (pl.col("kind") == "missing")).sort("currency", "time")
    for currency, start, end in wanted.select("currency", "time", "end").iter_rows():
        held = spans.setdefault(currency, [])
        if held and start - held[-1].end < within:
            held[-1] = replace(held[-1], end=end)
        else:
            held.append(Span(currency, start, end))
    return spans

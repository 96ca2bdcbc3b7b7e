"""What is stored and what is not: freshness of every currency, and the holes of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from cryptobot_assets.dashboard.queries import Span
from cryptobot_assets.domain.gaps import count_missing
from cryptobot_assets.domain.intervals import DAY, HOUR, interval_delta
from cryptobot_assets.storage.gap_records import read_gaps
from cryptobot_assets.storage.store import INDICATORS, KLINES, Store

NOT_LOOKED_AT = "recorded, not classed yet"
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Freshness:
    """The newest rows of a currency: their open times, and how old the newest kline is (hours since known_at)."""

    currency: str
    kline: datetime
    indicator: datetime | None
    age_hours: float


def freshness(
    spans: Mapping[str, Mapping[str, tuple[datetime, datetime]]], interval: str, now: datetime
) -> list[Freshness]:
    """Every currency that has klines, the stalest first.

    Args:
        spans: what `newest` gives.
    """
    indicators, step = spans["indicators"], interval_delta(interval)
    made = [
        Freshness(
            currency=currency,
            kline=newest,
            indicator=indicators[currency][1] if currency in indicators else None,
            age_hours=(now - newest - step) / HOUR,
        )
        for currency, (_, newest) in spans["klines"].items()
    ]
    return sorted(made, key=lambda one: (-one.age_hours, one.currency))


def newest(store: Store) -> dict[str, dict[str, tuple[datetime, datetime]]]:
    """First and newest row of every currency, of klines and of indicators."""
    return {"klines": store.spans(KLINES), "indicators": store.spans(INDICATORS)}


@dataclass(frozen=True)
class Holes:
    """What is not stored of one currency.

    Attributes:
        gaps: recorded gaps inside the span: time, end, missing, kind.
        days: a row for each day and kind with missing klines: time, kind, rows.
        stored, expected: klines over the part of the span between the currency's first and newest row.
    """

    gaps: pl.DataFrame
    days: pl.DataFrame
    stored: int
    expected: int


def holes(store: Store, currency: str, span: Span, interval: str) -> Holes:
    """Klines expected against klines stored, day by day; what no gap accounts for is told as not recorded."""
    step = interval_delta(interval)
    first, last = store.spans(KLINES).get(currency, (span.end, span.end))
    start, end = max(span.start, first), min(span.end, last + step)
    gaps = read_gaps(store, span.start, span.end, interval, currency=currency)
    named = gaps.with_columns(kind=pl.col("kind").fill_null(NOT_LOOKED_AT))
    parts = [
        count_missing(part, interval, every="day").select("time", "rows", kind=pl.lit(str(kind)))
        for (kind,), part in named.group_by(["kind"])
    ]
    counted = store.counts(KLINES, every="day", start=start, end=end, currency=currency).select("time", stored="rows")
    days = _unrecorded(counted, named, start, end, interval)
    every = [*parts, days.select("time", "rows", "kind")]
    return Holes(
        gaps=named.select("time", "end", "missing", "kind").sort("time", descending=True),
        days=pl.concat(every).sort("time", "kind"),
        stored=int(counted["stored"].sum()),
        expected=max(round((end - start) / step), 0),
    )


def _unrecorded(
    counted: pl.DataFrame, gaps: pl.DataFrame, start: datetime, end: datetime, interval: str
) -> pl.DataFrame:
    """Days on which klines are lacking that no gap accounts for."""
    kind = pl.lit(NOT_RECORDED).alias("kind")
    if end <= start:
        return counted.clear().select("time", pl.col("stored").alias("rows"), kind)
    begins = pl.datetime_range(
        start.replace(hour=0, minute=0, second=0, microsecond=0), end, DAY, closed="left", eager=True, time_unit="us"
    )
    step = interval_delta(interval)
    time = pl.col("time")
    inside = pl.min_horizontal(time + DAY, pl.lit(end)) - pl.max_horizontal(time, pl.lit(start))
    known = count_missing(gaps, interval, every="day").select("time", gone="rows")
    return (
        pl.DataFrame({"time": begins})
        .join(counted, on="time", how="left")
        .join(known, on="time", how="left")
        .with_columns(pl.col("stored", "gone").fill_null(0))
        .select(
            "time",
            rows=inside.dt.total_microseconds() // (step.total_seconds() * 1_000_000)
            - pl.col("stored")
            - pl.col("gone"),
            kind=kind,
        )
        .with_columns(pl.col("rows").cast(pl.Int64))
        .filter(pl.col("rows") > 0)
    )

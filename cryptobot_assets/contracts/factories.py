"""Small, seeded tables that every test may use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from cryptobot_assets.domain.intervals import HOUR, interval_delta
from cryptobot_assets.domain.klines import KLINE_SCHEMA, UTC_TIME
from cryptobot_assets.storage.store import PREDICTIONS

START = datetime(2024, 1, 1, tzinfo=UTC)
CUTOFF = START


def make_times(count: int, *, interval: str = "1h", start: datetime = START) -> pl.Series:
    """`count` open times in a row."""
    step = interval_delta(interval)
    return pl.datetime_range(start, start + (count - 1) * step, step, eager=True, time_unit="us").alias("time")


def make_closes(
    count: int,
    *,
    currency: str = "BTCUSDT",
    interval: str = "1h",
    start: datetime = START,
    seed: int = 0,
    gaps: Sequence[tuple[datetime, datetime]] = (),
) -> pl.DataFrame:
    """Columns currency, time, close: a random walk in whole cents, without the rows of `gaps` (half-open)."""
    steps = np.random.default_rng(seed).normal(0, 0.003, count)
    close = np.round(300 * np.exp(np.cumsum(steps)), 2)
    frame = pl.DataFrame({"time": make_times(count, interval=interval, start=start), "close": close})
    for first, end in gaps:
        frame = frame.filter(~pl.col("time").is_between(first, end, closed="left"))
    return frame.select(pl.lit(currency).alias("currency"), "time", "close")


def make_klines(count: int, **closes: Any) -> pl.DataFrame:
    """Klines around `make_closes` that keep every rule."""
    frame = make_closes(count, **closes)
    return frame.with_columns(
        open=pl.col("close"),
        high=pl.col("close") + 0.5,
        low=pl.col("close") - 0.5,
        volume=pl.lit(2.0),
        quote_volume=2 * pl.col("close"),
        trades=pl.lit(3),
        source=pl.lit("rest"),
    ).select(pl.col(name).cast(kind) for name, kind in KLINE_SCHEMA.items())


def make_scored(
    predicted: dict[str, Sequence[float | None]],
    realised: dict[str, Sequence[float | None]],
    *,
    interval: str = "1h",
    start: datetime = START,
) -> pl.DataFrame:
    """Columns currency, time, predicted_return, realised_return from one list a currency; None is no row."""
    parts = [
        pl.DataFrame(
            {
                "currency": [name] * len(values),
                "time": make_times(len(values), interval=interval, start=start),
                "predicted_return": list(values),
                "realised_return": list(realised[name]),
            },
            schema_overrides={"predicted_return": pl.Float64, "realised_return": pl.Float64},
        )
        for name, values in predicted.items()
    ]
    return pl.concat(parts).filter(pl.col("predicted_return").is_not_null())


def make_predictions(
    closes: pl.DataFrame, predicted: np.ndarray | None = None, *, algorithm: str = "ridge", version: str = "1",
    market: str = "ALL", cutoff: datetime = CUTOFF, seed: int = 0,
) -> pl.DataFrame:  # fmt: skip
    """Rows of the table `predictions` for hourly closes: random predictions, the labels that truly followed."""
    later = closes.select("currency", pl.col("time") - 24 * HOUR, pl.col("close").alias("later"))
    rows = closes.join(later, on=["currency", "time"], how="left").sort("currency", "time")
    values = np.random.default_rng(seed).normal(0, 0.01, rows.height) if predicted is None else predicted
    return rows.select(
        pl.lit(market).alias("market"),
        pl.lit(algorithm).alias("algorithm"),
        pl.lit(version).alias("version"),
        "currency",
        "time",
        pl.Series("predicted_return", values),
        (pl.col("later") / pl.col("close") - 1).alias("realised_return"),
        pl.lit(cutoff).cast(UTC_TIME).alias("cutoff"),
    ).select(list(PREDICTIONS.schema))


def hours_after(hours: float, start: datetime = START) -> datetime:
    """The instant so many hours after `start`."""
    return start + timedelta(hours=hours)

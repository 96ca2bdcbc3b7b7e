"""A small market with predictions of three models, for any store."""

from __future__ import annotations

import polars as pl

from cryptobot_assets.contracts.factories import hours_after, make_predictions
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES, PREDICTIONS, Store

NAMES = ("ADAUSDT", "BTCUSDT", "ETHUSDT")
DAYS = 25
SECOND_CUTOFF = hours_after(24 * 12)
LOST = hours_after(50)
UNRECORDED = hours_after(200)


def fill(store: Store) -> None:
    """25 days of hourly rows from 2024-01-01; ADAUSDT lacks two klines, of which one is a recorded outage."""
    closes = pl.concat([make_rows(INDICATORS, DAYS * 24, currency=name, seed=n) for n, name in enumerate(NAMES)])
    klines = pl.concat([make_rows(KLINES, DAYS * 24, currency=name, seed=n) for n, name in enumerate(NAMES)])
    lost = (pl.col("currency") == NAMES[0]) & pl.col("time").is_in([LOST, UNRECORDED])
    store.replace(INDICATORS, closes, start=None, end=None)
    store.replace(KLINES, klines.filter(~lost), start=None, end=None)
    gap = {"currency": NAMES[0], "time": LOST, "end": hours_after(51), "missing": 1, "kind": "outage"}
    store.replace(GAPS, pl.DataFrame([gap], schema=GAPS.schema), start=None, end=None)
    store.replace(PREDICTIONS, predictions(closes), start=None, end=None)


def predictions(closes: pl.DataFrame) -> pl.DataFrame:
    """`ridge` knows something and has two versions, `lasso` nothing; BTCUSDT has a model of its own."""
    lasso = make_predictions(closes, algorithm="lasso")
    ridge = lasso.with_columns(
        algorithm=pl.lit("ridge"),
        predicted_return=pl.col("predicted_return") + pl.col("realised_return").fill_null(0.0) / 2,
    )
    later = pl.col("time") >= SECOND_CUTOFF
    ridge = ridge.with_columns(
        version=pl.when(later).then(pl.lit("2")).otherwise("version"),
        cutoff=pl.when(later).then(pl.lit(SECOND_CUTOFF)).otherwise("cutoff").cast(lasso.schema["cutoff"]),
    )
    own = make_predictions(closes.filter(currency="BTCUSDT"), market="BTCUSDT", algorithm="huber", seed=5)
    return pl.concat([lasso, ridge, own])

"""Rows of every stored table that keep its rules, and some that break them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl

from cryptobot_assets.contracts.factories import START, hours_after, make_closes, make_klines, make_predictions
from cryptobot_assets.domain.indicators import INDICATOR_SCHEMA
from cryptobot_assets.storage.store import (
    COVERAGE,
    GAPS,
    INDICATORS,
    KLINES,
    LISTINGS,
    PAPER_BALANCES,
    PAPER_DECISIONS,
    PAPER_FILLS,
    PREDICTION_OUTCOMES,
    PREDICTIONS,
    SERVED_PREDICTIONS,
    Table,
)

END = hours_after(48)

BROKEN: list[tuple[Table, dict[str, Any]]] = [
    *[(KLINES, {name: None}) for name in ("currency", "time", "open", "high", "low", "close", "volume", "source")],
    *[(KLINES, {name: float("nan")}) for name in ("open", "high", "low", "close", "volume", "quote_volume")],
    *[(KLINES, {name: float("inf")}) for name in ("high", "volume")],
    (KLINES, {"high": 1.0, "low": 0.5, "close": 2.0, "open": 0.7}),
    (KLINES, {"high": 1.0, "low": 0.5, "close": 0.7, "open": 2.0}),
    (KLINES, {"low": 1.0, "high": 3.0, "close": 0.5, "open": 2.0}),
    (KLINES, {"low": 1.0, "high": 3.0, "close": 2.0, "open": 0.5}),
    (KLINES, {"low": 0.0}),
    (KLINES, {"volume": -1.0}),
    *[(INDICATORS, {"close": value}) for value in (None, 0.0, -1.0, float("nan"), float("inf"))],
    (INDICATORS, {"rsi_14h": float("nan")}),
    (PREDICTIONS, {"cutoff": hours_after(500)}),
    *[(PREDICTIONS, {"predicted_return": value}) for value in (None, float("nan"), float("-inf"))],
    (PREDICTIONS, {"realised_return": float("nan")}),
    *[(PREDICTIONS, {name: None}) for name in ("market", "algorithm", "version", "cutoff")],
    (GAPS, {"end": START}),
    (GAPS, {"missing": None}),
    (COVERAGE, {"missing": 2}),
    (COVERAGE, {"halt": None}),
    (LISTINGS, {"end": START}),
    *[(LISTINGS, {name: None}) for name in ("base", "quote", "kind", "position")],
    *[(PAPER_DECISIONS, {name: -0.1}) for name in ("held_weight", "target_weight", "quantity")],
    *[(PAPER_DECISIONS, {name: None}) for name in ("algorithm", "version", "price", "target_weight")],
    (PAPER_DECISIONS, {"target_weight": 1.1}),
    (PAPER_FILLS, {"side": "borrow"}),
    (PAPER_FILLS, {"filled_at": START}),
    *[(PAPER_FILLS, {name: 0.0}) for name in ("quantity", "price")],
    *[(PAPER_FILLS, {"cost": value}) for value in (-1.0, None, float("nan"))],
    *[(PAPER_BALANCES, {name: -1.0}) for name in ("cash", "sleeve_cash", "holdings")],
    *[(PAPER_BALANCES, {"equity": value}) for value in (90.0, None, float("inf"))],
    (PAPER_BALANCES, {"rule": None}),
    (SERVED_PREDICTIONS, {"rows": 0}),
    (SERVED_PREDICTIONS, {"predicted_return": float("nan")}),
    *[(SERVED_PREDICTIONS, {name: None}) for name in ("prediction_id", "role", "served_at", "currency", "verdict")],
    (PREDICTION_OUTCOMES, {"label_end_time": START}),
    (PREDICTION_OUTCOMES, {"realised_return": None}),
]

PAPER = {
    PAPER_DECISIONS.name: {
        "algorithm": "ridge", "version": "1", "predicted_return": 0.1, "rank": 1, "held_weight": 0.0,
        "target_weight": 1.0, "price": 2.0, "quantity": 3.0, "note": None,
    },
    PAPER_FILLS.name: {"account": "bot", "side": "buy", "quantity": 3.0, "price": 2.0, "cost": 0.1},
    PAPER_BALANCES.name: {
        "rule": "keep", "capital": 100.0, "sleeve_cash": 1.0, "cash": 40.0, "holdings": 60.0, "equity": 100.0,
        "universe_equity": 99.0, "bitcoin_equity": None, "cost": 0.1, "traded": 6.0, "note": None,
    },
}  # fmt: skip
"""By table of the paper ledger: values of a row that keeps the rules."""


def make_rows(  # noqa: PLR0911 a branch for each kind of table
    table: Table, count: int = 48, *, currency: str = "BTCUSDT", seed: int = 0
) -> pl.DataFrame:
    """Hourly rows from `START` on that keep the table's rules."""
    options: dict[str, Any] = {"currency": currency, "seed": seed}
    if table is KLINES:
        return make_klines(count, **options)
    closes = make_closes(count, **options)
    if table is PREDICTIONS:
        return make_predictions(closes, seed=seed)
    if table is INDICATORS:
        known = {"currency", "time", "close", "rsi_14h"}
        blank = [pl.lit(None, kind).alias(name) for name, kind in INDICATOR_SCHEMA.items() if name not in known]
        return closes.with_columns(*blank, rsi_14h=pl.lit(50.0)).select(list(INDICATOR_SCHEMA))
    if table in (SERVED_PREDICTIONS, PREDICTION_OUTCOMES):
        return make_served_rows(table, closes["time"], currency)
    if table is COVERAGE:
        counts = {"expected": 24, "stored": 20, "outage": 3, "halt": 0, "not_listed": 0, "delisted": 0, "missing": 1}
        return closes.select("currency", "time", **{name: pl.lit(n, pl.Int64) for name, n in counts.items()})
    if table.name in PAPER:
        values = {"market": "ALL", **PAPER[table.name]}
        blank = [pl.lit(value, table.schema[name]).alias(name) for name, value in values.items()]
        return closes.with_columns(*blank, filled_at=pl.col("time")).select(list(table.schema))
    end = (pl.col("time") + timedelta(minutes=30)).alias("end")
    if table is LISTINGS:
        names = {"base": "BTC", "quote": "USDT", "kind": "coin"}
        position = pl.lit(0, pl.Int64).alias("position")
        return closes.select("currency", "time", end, **{k: pl.lit(v) for k, v in names.items()}).with_columns(position)
    return closes.select("currency", "time", end, missing=pl.lit(30, pl.Int64), kind=pl.lit("outage"))


def make_served_rows(table: Table, times: pl.Series, currency: str) -> pl.DataFrame:
    """Rows of one of the tables of served predictions, each served at the time of its row."""
    ids = [f"{currency} {number:04}" for number in range(len(times))]
    facts = {
        "role": "champion", "position": 0, "route": "/predict", "market": "ALL", "algorithm": "ridge", "version": "1",
        "registered_name": "cryptobot-ALL-ridge", "verdict": "unproven", "caller": None, "currency": currency,
        "rows": 1, "predicted_return": 0.01, "interval_low": -0.03, "interval_high": 0.05, "realised_return": 0.02,
    }  # fmt: skip
    rows = pl.DataFrame({"prediction_id": ids, "served_at": times, "time": times}).with_columns(
        pl.lit(value).alias(name) for name, value in facts.items()
    )
    rows = rows.with_columns(
        known_at=pl.col("time") + timedelta(hours=1), label_end_time=pl.col("time") + timedelta(hours=25)
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in table.schema.items())


def spoil(rows: pl.DataFrame, values: dict[str, object]) -> pl.DataFrame:
    """The third row with other values."""
    here = pl.int_range(pl.len()) == 2
    return rows.with_columns(
        pl.when(here).then(pl.lit(value, rows.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def priced(value: float, currency: str = "BTCUSDT") -> pl.DataFrame:
    """48 klines of one price."""
    return make_rows(KLINES, currency=currency).with_columns(
        pl.lit(value).alias(name) for name in ("open", "high", "low", "close")
    )

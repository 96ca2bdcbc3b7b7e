"""What the paper bot and the service would have left behind, for any store."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.paper_ledger import BALANCE_SCHEMA, DECISION_SCHEMA, FILL_SCHEMA
from cryptobot_assets.domain.served import OUTCOME_SCHEMA, SERVED_SCHEMA
from cryptobot_assets.storage.store import (
    PAPER_BALANCES,
    PAPER_DECISIONS,
    PAPER_FILLS,
    PREDICTION_OUTCOMES,
    SERVED_PREDICTIONS,
    Store,
)

CAPITAL = 1000.0
PAPER_DAYS, SERVED_DAYS = 12, 4
SECOND = hours_after(24 * 6)


def fill_paper(store: Store) -> None:
    """Twelve days of hours that each gain or lose a little; version 2 ranks from the seventh day on."""
    hours = [START + number * HOUR for number in range(PAPER_DAYS * 24)]
    growth = np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.002, (len(hours), 3)), axis=0)) * CAPITAL
    balances = [
        {
            "market": "ALL", "currency": "USDT", "time": time, "rule": "keep", "capital": CAPITAL, "sleeve_cash": 1.0,
            "cash": 0.1 * bot, "holdings": 0.9 * bot, "equity": 0.1 * bot + 0.9 * bot, "universe_equity": universe,
            "bitcoin_equity": bitcoin, "cost": 0.02, "traded": 15.0, "note": None,
        }
        for time, (bot, universe, bitcoin) in zip(hours, growth.tolist(), strict=True)
    ]  # fmt: skip
    decisions = [
        {
            "market": "ALL", "currency": name, "time": time, "algorithm": "ridge",
            "version": "2" if time >= SECOND else "1", "predicted_return": 0.01, "rank": rank, "held_weight": 0.0,
            "target_weight": 0.5, "price": 100.0, "quantity": 0.1 * rank, "note": None,
        }
        for time in hours
        for rank, name in enumerate(("BTCUSDT", "ETHUSDT"), 1)
    ]  # fmt: skip
    fills = [
        {
            "market": "ALL", "account": "bot", "currency": "BTCUSDT", "time": time, "filled_at": time + HOUR,
            "side": "buy" if place % 2 else "sell", "quantity": 0.1, "price": 100.0, "cost": 0.012,
        }
        for place, time in enumerate(hours[-30:])
    ]  # fmt: skip
    for table, rows, schema in (
        (PAPER_BALANCES, balances, BALANCE_SCHEMA),
        (PAPER_DECISIONS, decisions, DECISION_SCHEMA),
        (PAPER_FILLS, fills, FILL_SCHEMA),
    ):
        store.replace(table, pl.DataFrame(rows, schema=schema), start=None, end=None)


def served_rows() -> pl.DataFrame:
    """Version 1 answers each hour of four days, twice at the last one; version 2 scores the same in shadow."""
    random = np.random.default_rng(2)
    hours = [START + number * HOUR for number in range(SERVED_DAYS * 24)]
    asked = [*enumerate(hours), (len(hours), hours[-1])]
    rows = [
        {
            "prediction_id": f"{number:032x}", "role": role, "position": 0, "served_at": time + timedelta(minutes=70),
            "route": "/predict", "market": "ALL", "algorithm": "ridge", "version": version,
            "registered_name": "cryptobot-ALL", "verdict": "passed", "caller": None, "currency": "BTCUSDT",
            "time": time, "known_at": time + HOUR, "rows": 1, "predicted_return": value,
        }
        for number, time in asked
        for role, version, value in (
            ("champion", "1", float(random.normal(0, 0.03))), ("shadow", "2", float(random.normal(0, 0.003))),
        )
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SERVED_SCHEMA)


def outcome_rows(served: pl.DataFrame) -> pl.DataFrame:
    """What became of them: a return drawn for each row, the same for whoever predicted it."""
    times = served["time"].unique().sort()
    drawn = np.random.default_rng(3).normal(0.004, 0.02, len(times))
    outcomes = served.join(pl.DataFrame({"time": times, "realised_return": drawn}), on="time")
    return outcomes.with_columns(label_end_time=pl.col("known_at") + DAY).select(
        pl.col(name).cast(kind) for name, kind in OUTCOME_SCHEMA.items()
    )


def fill_served(store: Store) -> None:
    """Served predictions and their outcomes."""
    served = served_rows()
    store.replace(SERVED_PREDICTIONS, served, start=None, end=None)
    store.replace(PREDICTION_OUTCOMES, outcome_rows(served), start=None, end=None)

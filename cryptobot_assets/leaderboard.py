"""Evaluations of a market over any range of days, read from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS
from cryptobot_assets.domain.evaluation import Evaluation, evaluate
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.metrics import at_whole_hours
from cryptobot_assets.domain.pool_value import Costs
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS, Store


def costs_of(settings: Settings) -> Costs:
    """The costs the settings charge."""
    return Costs(fee_bps=settings.fee_bps, slippage_bps=settings.slippage_bps)


def read_predictions(
    store: Store, market: str, *, start: datetime | None = None, end: datetime | None = None
) -> dict[str, pl.DataFrame]:
    """Prediction rows of a market by algorithm."""
    rows = store.read(PREDICTIONS, start=start, end=end, market=market)
    return {str(name): part for (name,), part in sorted(rows.group_by(["algorithm"]), key=lambda item: str(item[0]))}


def read_closes(store: Store, interval: str, predictions: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Closes at whole hours of the predicted currencies, from the first prediction to 24 h after the last."""
    first = min(part["time"].min() for part in predictions)
    last = max(part["time"].max() for part in predictions)
    currencies = sorted({name for part in predictions for name in part["currency"].unique()})
    rows = store.read(
        INDICATORS,
        start=first,
        end=last + HORIZON + HOUR,
        columns=["currency", "time", "close"],
        currency=currencies,
    )
    return at_whole_hours(rows, interval)


def evaluate_market(
    store: Store,
    settings: Settings,
    market: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    draws: int = DRAWS,
) -> list[Evaluation]:
    """Every algorithm of a market over its out-of-sample rows in [start, end), best net pool value first."""
    predictions = read_predictions(store, market, start=start, end=end)
    if not predictions:
        return []
    closes = read_closes(store, settings.interval, list(predictions.values()))
    made = [
        evaluate(part, closes, interval=settings.interval, costs=costs_of(settings), seed=settings.seed, draws=draws)
        for part in predictions.values()
    ]
    return sorted((one for one in made if one), key=lambda one: -(one.pool.net if one.pool else 0.0))

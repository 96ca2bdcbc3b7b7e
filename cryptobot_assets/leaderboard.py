"""Evaluations of a market over any range of days, read from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS
from cryptobot_assets.domain.evaluation import Evaluation, evaluate
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.metrics import at_whole_hours
from cryptobot_assets.domain.pool_value import Costs, Hours
from cryptobot_assets.domain.portfolio import VOLATILITY_HOURS, Result
from cryptobot_assets.domain.rule_table import Tape, judge_rules
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS, KLINES, PREDICTIONS, Store

HOUR_MICROSECONDS = 3_600_000_000


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
    return _closes(store, interval, currencies, first, last + HORIZON + HOUR)


def _closes(store: Store, interval: str, currencies: Sequence[str], start: datetime, end: datetime) -> pl.DataFrame:
    columns = ["currency", "time", "close"]
    rows = store.read(INDICATORS, start=start, end=end, columns=columns, currency=list(currencies))
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


def evaluate_rules(
    store: Store, settings: Settings, evaluations: Sequence[Evaluation], *, draws: int = DRAWS
) -> dict[str, tuple[Result, ...]]:
    """What each algorithm's predictions make under every allocation rule, by algorithm."""
    made: dict[str, tuple[Result, ...]] = {}
    tapes: dict[tuple[np.datetime64, int, tuple[str, ...]], Tape] = {}
    for one in evaluations:
        if one.hours is None:
            continue
        key = (one.hours.first, len(one.hours.predicted), one.hours.currencies)
        if key not in tapes:
            tapes[key] = read_tape(store, settings.interval, one.hours)
        made[one.algorithm] = judge_rules(
            one.hours,
            tapes[key],
            costs_of(settings),
            capital=settings.pool_capital,
            capacity=settings.pool_capacity,
            seed=settings.seed,
            draws=draws,
        )
    return made


def read_tape(store: Store, interval: str, hours: Hours) -> Tape:
    """Closes of the week before the first decision, and the value traded in the 24 h up to each."""
    first = hours.first.astype("datetime64[us]").astype(datetime).replace(tzinfo=UTC)
    earlier = first - VOLATILITY_HOURS * HOUR
    closes = _closes(store, interval, hours.currencies, earlier, first)
    before = _on_hours(closes, "close", earlier, VOLATILITY_HOURS, hours.currencies)
    start = first - HORIZON + timedelta(hours=1)
    count = len(hours.predicted) + HORIZON // HOUR - 1
    traded = _on_hours(_traded(store, hours.currencies, start, count), "traded", start, count, hours.currencies)
    sums = np.cumsum(np.pad(np.nan_to_num(traded), ((1, 0), (0, 0))), axis=0)
    day = HORIZON // HOUR
    return Tape(before, sums[day:] - sums[:-day])


def _traded(store: Store, currencies: Sequence[str], start: datetime, hours: int) -> pl.DataFrame:
    """Value traded in each clock hour, at the minute of `start` within the hour."""
    first = start.replace(minute=0)
    names = ", ".join(f"'{name}'" for name in currencies)
    rows = store.query(
        f"SELECT currency, epoch_us(time) // {HOUR_MICROSECONDS} AS hour, "
        f"sum(coalesce(quote_volume, close * volume)) AS traded FROM {KLINES.name} WHERE currency IN ({names}) "
        f"AND time >= '{first.isoformat()}' AND time < '{(first + hours * HOUR).isoformat()}' GROUP BY 1, 2"
    )
    opened = pl.from_epoch(pl.col("hour") * HOUR_MICROSECONDS, time_unit="us").dt.replace_time_zone("UTC")
    return rows.select("currency", opened.alias("time") + (start - first), "traded")


def _on_hours(rows: pl.DataFrame, value: str, start: datetime, count: int, currencies: Sequence[str]) -> np.ndarray:
    """(count, n) values at `start` and the hours after it, NaN where there is none."""
    laid = np.full((count, len(currencies)), np.nan)
    place = {name: column for column, name in enumerate(currencies)}
    known = rows.filter(pl.col("time") >= start).with_columns(
        row=(pl.col("time") - start).dt.total_hours(), column=pl.col("currency").replace_strict(place)
    )
    known = known.filter(pl.col("row") < count)
    laid[known["row"].to_numpy(), known["column"].to_numpy()] = known[value].to_numpy()
    return laid

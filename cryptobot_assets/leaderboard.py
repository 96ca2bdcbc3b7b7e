"""Evaluations of a market over any range of days, read from what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.evaluation import Evaluation, evaluate
from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.metrics import at_whole_hours
from cryptobot_assets.domain.pool_value import Costs, Hours
from cryptobot_assets.domain.portfolio import Result
from cryptobot_assets.domain.risk import RISK_HOURS, BeyondRisk, beyond_risk
from cryptobot_assets.domain.rule_table import Tape, judge_rules
from cryptobot_assets.domain.universe import lives_apart, symbol_of
from cryptobot_assets.plugged import RULES
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import read_listings
from cryptobot_assets.storage.samples import read_hourly_market
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS, Store


def costs_of(settings: Settings) -> Costs:
    """The costs the settings charge."""
    return Costs(fee_bps=settings.fee_bps, slippage_bps=settings.slippage_bps)


def open_end(settings: Settings, end: datetime | None) -> datetime | None:
    """Where rows must end so that no label reaches into the holdout; `end` itself where that is earlier."""
    if settings.holdout_start is None:
        return end
    last = settings.holdout_start - HORIZON
    return last if end is None else min(end, last)


def read_predictions(
    store: Store, market: str, *, start: datetime | None = None, end: datetime | None = None
) -> dict[str, pl.DataFrame]:
    """Prediction rows of a market by algorithm."""
    rows = store.read(PREDICTIONS, start=start, end=end, market=market)
    return {str(name): part for (name,), part in sorted(rows.group_by(["algorithm"]), key=lambda item: str(item[0]))}


def read_closes(
    store: Store, interval: str, predictions: Sequence[pl.DataFrame], *, until: datetime | None = None
) -> pl.DataFrame:
    """Closes at whole hours of the predicted currencies, from the first prediction to 24 h after the last.

    Args:
        until: no close known after it is read; None for no such bound.
    """
    first = min(earliest(part["time"]) for part in predictions)
    last = max(latest(part["time"]) for part in predictions)
    currencies = sorted({name for part in predictions for name in part["currency"].unique()})
    rows = store.read(
        INDICATORS,
        start=first,
        end=min(last + HORIZON + HOUR, until or datetime.max.replace(tzinfo=UTC)),
        columns=["currency", "time", "close"],
        currency=currencies,
    )
    return at_whole_hours(rows, interval)


def draws_of(settings: Settings, draws: int | None) -> int:
    """What was asked for, as the settings say where nothing was."""
    return settings.draws if draws is None else draws


def evaluate_market(
    store: Store,
    settings: Settings,
    market: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    draws: int | None = None,
) -> list[Evaluation]:
    """Every algorithm of a market over its out-of-sample rows in [start, end), best net pool value first."""
    predictions = read_predictions(store, market, start=start, end=open_end(settings, end))
    return evaluate_predictions(store, settings, predictions, draws=draws)


def evaluate_predictions(
    store: Store, settings: Settings, predictions: Mapping[str, pl.DataFrame], *, draws: int | None = None
) -> list[Evaluation]:
    """The same of prediction rows that were read already.

    Args:
        draws: of each interval; as the settings say where it is not given, and 0 for none.
    """
    if not predictions:
        return []
    listings = read_listings(store)
    parts = list(predictions.values())
    closes = lives_apart(read_closes(store, settings.interval, parts, until=settings.holdout_start), listings)
    apart = (lives_apart(part, listings) for part in predictions.values())
    made = [
        evaluate(
            part,
            closes,
            interval=settings.interval,
            costs=costs_of(settings),
            seed=settings.seed,
            draws=draws_of(settings, draws),
        )
        for part in apart
    ]
    return sorted((one for one in made if one), key=lambda one: -(one.pool.net if one.pool else 0.0))


@dataclass(frozen=True)
class Evidence:
    """Everything a report of a market is made of.

    Attributes:
        predictions: rows of the table by algorithm.
        evaluations: best net pool value first.
        rules: by algorithm, what its predictions make under every allocation rule.
        risks: by algorithm, what is left of its IC beyond low volatility and low beta.
    """

    market: str
    predictions: Mapping[str, pl.DataFrame]
    evaluations: Sequence[Evaluation]
    rules: Mapping[str, tuple[Result, ...]]
    risks: Mapping[str, BeyondRisk]


def read_evidence(
    store: Store,
    settings: Settings,
    market: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    draws: int | None = None,
) -> Evidence:
    """Read and evaluate the out-of-sample rows of a market with time in [start, end)."""
    predictions = read_predictions(store, market, start=start, end=open_end(settings, end))
    evaluations = evaluate_predictions(store, settings, predictions, draws=draws)
    tapes = Tapes(store, settings.interval)
    return Evidence(
        market,
        predictions,
        evaluations,
        rules=evaluate_rules(tapes, settings, evaluations, draws=draws),
        risks=evaluate_risks(tapes, settings, evaluations, draws=draws),
    )


class Tapes:
    """Reads what the market did before decisions; algorithms that decided at the same hours share one reading."""

    def __init__(self, store: Store, interval: str) -> None:
        self._store = store
        self._interval = interval
        self._read: dict[tuple[np.datetime64, int, tuple[str, ...]], Tape] = {}

    def of(self, hours: Hours) -> Tape:
        """The tape of these hours."""
        key = (hours.first, len(hours.predicted), hours.currencies)
        if key not in self._read:
            self._read[key] = read_tape(self._store, self._interval, hours)
        return self._read[key]


def evaluate_rules(
    tapes: Tapes, settings: Settings, evaluations: Sequence[Evaluation], *, draws: int | None = None
) -> dict[str, tuple[Result, ...]]:
    """What each algorithm's predictions make under every allocation rule, by algorithm."""
    return {
        one.algorithm: judge_rules(
            one.hours,
            tapes.of(one.hours),
            costs_of(settings),
            rules=RULES.values(),
            capital=settings.pool_capital,
            capacity=settings.pool_capacity,
            seed=settings.seed,
            draws=draws_of(settings, draws),
        )
        for one in evaluations
        if one.hours
    }


def evaluate_risks(
    tapes: Tapes, settings: Settings, evaluations: Sequence[Evaluation], *, draws: int | None = None
) -> dict[str, BeyondRisk]:
    """What is left of each algorithm's IC beyond low volatility and low beta; those too few to tell are absent."""
    found = {
        one.algorithm: beyond_risk(
            one.hours, tapes.of(one.hours).before, seed=settings.seed, draws=draws_of(settings, draws)
        )
        for one in evaluations
        if one.hours
    }
    return {name: risk for name, risk in found.items() if risk}


def read_tape(store: Store, interval: str, hours: Hours) -> Tape:
    """Closes of the 28 days before the first decision, and the value traded in the 24 h up to each."""
    first = hours.first.astype("datetime64[us]").astype(datetime).replace(tzinfo=UTC)
    symbols = [symbol_of(name) for name in hours.currencies]
    market = read_hourly_market(
        store, interval, symbols, first - RISK_HOURS * HOUR, first + len(hours.predicted) * HOUR
    )
    day = HORIZON // HOUR
    sums = np.cumsum(np.pad(np.nan_to_num(market.traded.T), ((1, 0), (0, 0))), axis=0)
    ends = RISK_HOURS + 1 + np.arange(len(hours.predicted))
    return Tape(market.closes.T[:RISK_HOURS], sums[ends] - sums[ends - day])

"""Pool value: what capital would have become, with costs, beside the control.

The pool is 24 sleeves of equal capital. Sleeve h decides at hour h of each day, puts all it has
into the currency with the highest prediction and holds for 24 h::

    sleeve 0   |----------- BTC ----------|----------- ETH ----------|
    sleeve 1      |----------- ADA ----------|----------- ADA ----------|    <- kept, so not traded
    ...

A decision reads only rows known at its hour. A position is left at the close 24 h later, or, where
that kline is missing, at the last close known by then: a currency that stops trading is not wished
away. A sleeve whose hour has no row at all (an outage) keeps what it holds.

`gross` has no costs. `net` pays fee + slippage on each side of each trade; keeping the same
currency is no trade. `seed` is the formula of the system this one replaces, kept for comparison:
it steps one sleeve a row, so that at 1m each 24 h return is counted sixty times over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS, Interval, bootstrap_interval
from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.labels import HORIZON_HOURS

SLEEVES = HORIZON_HOURS
BLOCK_DAYS = 3
OVERLAP_DAYS = 2
"""Holdings that begin in the hours of one day reach over the next."""
LARGEST_LOG = 709.0
"""Largest exponent a double holds; a bigger seed figure is shown as this one."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Basis points paid on each side of a trade."""

    fee_bps: float
    slippage_bps: float

    @property
    def share(self) -> float:
        """Fraction of the traded value lost on one side."""
        return (self.fee_bps + self.slippage_bps) / 10_000


@dataclass(frozen=True)
class Hours:
    """Predictions and prices at consecutive whole hours.

    Attributes:
        currencies: n names.
        first: first decision hour (open time of its row, datetime64[us]).
        predicted: (d, n), one row a decision hour, NaN where a currency could not be traded.
        closes: (d + 24, n), the last close known at each hour, NaN before the first.
    """

    currencies: tuple[str, ...]
    first: np.datetime64
    predicted: np.ndarray
    closes: np.ndarray


@dataclass(frozen=True)
class PoolValue:
    """Multiples of the starting capital; `trades` counts buys and sells over all sleeves."""

    seed: float
    gross: float
    net: float
    net_ci: Interval
    trades: int
    daily_net: np.ndarray
    """(days, 24) net growth factor of each sleeve's each day."""


@dataclass(frozen=True)
class Control:
    """The same capital simply holding the universe, bought in equal parts at the first decision."""

    gross: float
    net: float


def align_hours(predictions: pl.DataFrame, closes: pl.DataFrame) -> Hours | None:
    """Lay hourly rows out as `Hours`; None when no decision's 24 hours have passed.

    Args:
        predictions: currency, time, predicted_return of rows known at whole hours.
        closes: currency, time, close of rows known at whole hours, reaching 24 h further.
    """
    if predictions.is_empty() or closes.is_empty():
        return None
    currencies = tuple(sorted(predictions["currency"].unique()))
    first, last = earliest(predictions["time"]), latest(closes["time"])
    hours = pl.DataFrame({"time": pl.datetime_range(first, last, HOUR, eager=True, time_unit="us")})
    if hours.height <= HORIZON_HOURS:
        return None
    price = _matrix(closes.filter(pl.col("time") >= first), "close", hours, currencies, fill=True)
    decisions = hours.head(hours.height - HORIZON_HOURS)
    predicted = _matrix(predictions, "predicted_return", decisions, currencies, fill=False)
    last_decision = np.flatnonzero(np.isfinite(predicted).any(axis=1))
    if not len(last_decision):
        return None
    count = int(last_decision[-1]) + 1
    first_time = np.datetime64(first.replace(tzinfo=None), "us")
    return Hours(currencies, first_time, predicted[:count], price[: count + HORIZON_HOURS])


def _matrix(
    rows: pl.DataFrame, value: str, hours: pl.DataFrame, currencies: tuple[str, ...], *, fill: bool
) -> np.ndarray:
    wide = hours.join(rows.pivot("currency", index="time", values=value), on="time", how="left").sort("time")
    absent = [pl.lit(None, pl.Float64).alias(name) for name in currencies if name not in wide.columns]
    wide = wide.with_columns(absent).select(currencies)
    return (wide.fill_null(strategy="forward") if fill else wide).to_numpy().astype(float, copy=True)


def best_one(predicted: np.ndarray) -> np.ndarray:
    """Allocation rule: the column of the highest prediction at each hour, -1 where there is none."""
    known = np.isfinite(predicted)
    best = np.argmax(np.where(known, predicted, -np.inf), axis=1)
    return np.where(known.any(axis=1), best, -1)


def pool_value(hours: Hours, costs: Costs, *, seed_value: float, seed: int, draws: int = DRAWS) -> PoolValue:
    """Gross and net value of the 24 sleeves, with a 90 % interval of the net one.

    Args:
        seed_value: the replaced formula's figure, see `replaced_formula`.
        seed: of the bootstrap.
    """
    picks = best_one(hours.predicted)
    held, gross_factor = _hold(picks, hours.closes)
    days = -(-len(picks) // SLEEVES)
    held = np.pad(held, (0, days * SLEEVES - len(held)), constant_values=-2).reshape(days, SLEEVES)
    gross_factor = np.pad(gross_factor, (0, days * SLEEVES - len(gross_factor)), constant_values=1.0)
    gross_factor = gross_factor.reshape(days, SLEEVES)
    sides = _trade_sides(held)
    net_factor = gross_factor * (1 - costs.share) ** sides
    daily = np.log(net_factor)
    return PoolValue(
        seed=seed_value,
        gross=float(gross_factor.prod(axis=0).mean()),
        net=float(net_factor.prod(axis=0).mean()),
        net_ci=bootstrap_interval(
            daily, _value_of_logs, block=BLOCK_DAYS, overlap=OVERLAP_DAYS, positive=True, seed=seed, draws=draws
        ),
        trades=int(sides.sum()),
        daily_net=net_factor,
    )


def _value_of_logs(logs: np.ndarray) -> float:
    return float(np.exp(logs.sum(axis=0)).mean())


def _hold(picks: np.ndarray, closes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Currency each sleeve holds from each decision hour (-1 none) and its growth over 24 h."""
    held = picks.copy()
    for hour in np.flatnonzero(picks < 0):
        held[hour] = held[hour - SLEEVES] if hour >= SLEEVES else -1
    rows = np.arange(len(held))
    with np.errstate(invalid="ignore"):
        growth = closes[rows + HORIZON_HOURS, held] / closes[rows, held]
    return held, np.where((held >= 0) & np.isfinite(growth), growth, 1.0)


def _trade_sides(held: np.ndarray) -> np.ndarray:
    """Trades charged to each sleeve-day of a (days, 24) holding; -1 is cash, -2 past the end.

    A change sells what was held and buys anew; the last holding is sold at the end.
    """
    sides = np.zeros(held.shape, dtype=int)
    before = np.full(held.shape[1], -1)
    for day, now in enumerate(held):
        over = now == -2
        changed = (now != before) & ~over
        sides[day] += (changed & (before >= 0)).astype(int) + (changed & (now >= 0)).astype(int)
        before = np.where(over, before, now)
    last_day = np.where(held == -2, -1, np.arange(len(held))[:, None]).max(axis=0)
    final = held[last_day, np.arange(held.shape[1])]
    sides[last_day, np.arange(held.shape[1])] += (final >= 0).astype(int)
    return sides


def replaced_formula(rows: pl.DataFrame) -> float:
    """The replaced system's pool value: one of 24 sleeves stepped by the best pick's 24 h return, row by row.

    Args:
        rows: currency, time, predicted_return, realised_return at the stored interval. It is not
            an investable figure at 1m: the same day's return is compounded up to sixty times.
    """
    best = (
        rows.drop_nulls(["predicted_return", "realised_return"])
        .sort("time", "predicted_return", "currency")
        .group_by("time", maintain_order=True)
        .last()
    )
    logs = np.log1p(np.maximum(best["realised_return"].to_numpy(), -0.999999))
    if not len(logs):
        return 1.0
    sums = np.array([logs[sleeve::SLEEVES].sum() for sleeve in range(SLEEVES)])
    top = sums.max()
    return float(np.exp(min(top + np.log(np.mean(np.exp(sums - top))), LARGEST_LOG)))


def control(hours: Hours, costs: Costs) -> Control:
    """Value of buying every tradable currency in equal parts at the first decision and holding to the end."""
    tradable = np.isfinite(hours.predicted[0]) & np.isfinite(hours.closes[0])
    gross = float(np.mean(hours.closes[-1, tradable] / hours.closes[0, tradable]))
    return Control(gross=gross, net=gross * (1 - costs.share) ** 2)


def holding_one(hours: Hours, currency: str, costs: Costs) -> Control | None:
    """Value of putting everything into one currency at the first decision and holding it to the end.

    None where it is not of the universe or has no close then.
    """
    if currency not in hours.currencies:
        return None
    closes = hours.closes[:, hours.currencies.index(currency)]
    if not np.isfinite(closes[0]):
        return None
    gross = float(closes[-1] / closes[0])
    return Control(gross=gross, net=gross * (1 - costs.share) ** 2)


def holding_curve(hours: Hours) -> np.ndarray:
    """Gross value of the control at the first decision and after each whole day, starting from 1."""
    tradable = np.isfinite(hours.predicted[0]) & np.isfinite(hours.closes[0])
    daily = hours.closes[::HORIZON_HOURS, tradable]
    curve: np.ndarray = (daily / daily[0]).mean(axis=1)
    return curve


def equity(pool: PoolValue) -> np.ndarray:
    """Net pool value after each day, starting from 1."""
    return np.concatenate([[1.0], pool.daily_net.cumprod(axis=0).mean(axis=1)])

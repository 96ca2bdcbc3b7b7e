"""Simulated markets as frames of klines, of a known truth."""

from __future__ import annotations

import polars as pl

from cryptobot_assets.audit.known_market import Judged, Plan, judge_market
from cryptobot_assets.audit.pipeline import INTERVAL
from cryptobot_assets.exchange.simulation import simulate


def simulated_klines(seed: int, *, days: int, currencies: int, predictability: float) -> pl.DataFrame:
    """currency, time, close, volume of `simulate`'s hourly market."""
    market = simulate(seed, currencies, days=days, interval=INTERVAL, predictability=predictability)
    parts = []
    for name in market.currencies:
        series = market.series(name)
        time = pl.Series(series.time_ms * 1000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        parts.append(pl.DataFrame({"currency": name, "time": time, "close": series.close, "volume": series.volume}))
    return pl.concat(parts)


def judge_simulated(seed: int, plan: Plan, *, currencies: int = 8, predictability: float) -> Judged:
    """What the platform says of one simulated market."""
    klines = simulated_klines(seed, days=plan.days, currencies=currencies, predictability=predictability)
    return judge_market(klines, plan, seed=seed)

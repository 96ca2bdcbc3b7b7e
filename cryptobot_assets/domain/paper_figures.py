"""What a paper ledger has come to, beside its controls, net of every cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS, Interval, bootstrap_interval
from cryptobot_assets.domain.pool_value import BLOCK_DAYS, OVERLAP_DAYS, SLEEVES, Costs

CONTROLS = ("universe_equity", "bitcoin_equity")


@dataclass(frozen=True)
class Figures:
    """Multiples of the capital as if everything were sold now, every fee and all slippage paid.

    Attributes:
        start, end: first and newest booked hour.
        net, universe, bitcoin: the bot, and holding the universe or Bitcoin since the same hour; None where
            Bitcoin could not be had.
        over_universe: the bot's multiple divided by that of holding the universe; with its 90 % interval over
            blocks of days, None of fewer than five.
        days: whole days; `days_above` the share of them in which the bot gained on holding the universe,
            `days_up` and `universe_days_up` in which each gained at all: the base rates.
        paid: costs so far as a share of the capital; `turnover` what is bought and sold a day, as a share of
            equity.
    """

    start: datetime
    end: datetime
    hours: int
    rule: str
    capital: float
    equity: float
    net: float
    universe: float
    bitcoin: float | None
    over_universe: float
    over_universe_ci: Interval
    net_ci: Interval
    days: int
    days_above: float | None
    days_up: float | None
    universe_days_up: float | None
    paid: float
    turnover: float
    notes: int


def figures_of(balances: pl.DataFrame, costs: Costs, *, seed: int, draws: int = DRAWS) -> Figures | None:
    """Figures of rows of `paper_balances` of one market, None of none."""
    if balances.is_empty():
        return None
    rows = balances.sort("time")
    first, last = rows.row(0, named=True), rows.row(-1, named=True)
    sold = 1 - costs.share
    net = (last["cash"] + last["holdings"] * sold) / first["capital"]
    universe = last["universe_equity"] * sold / first["capital"]
    bitcoin = None if last["bitcoin_equity"] is None else last["bitcoin_equity"] * sold / first["capital"]
    daily = _daily_logs(rows)
    options: dict[str, Any] = {
        "block": BLOCK_DAYS, "overlap": OVERLAP_DAYS, "positive": True, "seed": seed, "draws": draws,
    }  # fmt: skip
    over = net / universe
    rest = over / float(np.exp((daily[:, 0] - daily[:, 1]).sum()))
    alone = net / float(np.exp(daily[:, 0].sum()))
    return Figures(
        start=first["time"],
        end=last["time"],
        hours=rows.height,
        rule=last["rule"],
        capital=first["capital"],
        equity=last["equity"],
        net=net,
        universe=universe,
        bitcoin=bitcoin,
        over_universe=over,
        over_universe_ci=bootstrap_interval(
            daily, lambda days: rest * float(np.exp((days[:, 0] - days[:, 1]).sum())), **options
        ),
        net_ci=bootstrap_interval(daily, lambda days: alone * float(np.exp(days[:, 0].sum())), **options),
        days=len(daily),
        days_above=_share(daily[:, 0] > daily[:, 1]),
        days_up=_share(daily[:, 0] > 0),
        universe_days_up=_share(daily[:, 1] > 0),
        paid=float(rows["cost"].sum()) / first["capital"],
        turnover=float((rows["traded"] / rows["equity"]).sum()) * SLEEVES / rows.height,
        notes=rows.height - rows["note"].null_count(),
    )


def holdings_of(decisions: pl.DataFrame) -> pl.DataFrame:
    """What all sleeves hold together, the most valuable first.

    Columns currency, quantity, price (the newest that any of them knew), value.

    Args:
        decisions: rows of `paper_decisions` of the newest 24 hours, of one market.
    """
    held = decisions.filter(pl.col("quantity") > 0).sort("time").group_by("currency")
    rows = held.agg(pl.col("quantity").sum(), pl.col("price").last())
    return rows.with_columns(value=pl.col("quantity") * pl.col("price")).sort("value", descending=True)


def _daily_logs(rows: pl.DataFrame) -> np.ndarray:
    """(days, 2) log growth of the bot and of the universe over each whole day since the first hour."""
    ends = rows.gather_every(SLEEVES, offset=SLEEVES - 1).select("equity", "universe_equity").to_numpy()
    capital = np.full((1, 2), rows["capital"][0])
    return np.diff(np.log(np.vstack([capital, ends])), axis=0)


def _share(true: np.ndarray) -> float | None:
    return float(true.mean()) if len(true) else None

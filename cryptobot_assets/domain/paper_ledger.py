"""The tables of the paper ledger, and whether two ledgers say the same.

Every hour, beginning with the first that was booked, has one row of `paper_balances`, a row of
`paper_decisions` for each currency that was ranked or held, and a row of `paper_fills` for each
order. `time` is the hour decided at: what is decided was known then, what is filled came after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from cryptobot_assets.domain.klines import UTC_TIME

BOT, UNIVERSE, BITCOIN = "bot", "universe", "bitcoin"
"""Accounts: the bot's own, and two that bought once and hold."""
MONEY = "USDT"
"""`currency` of a balance: what its amounts are in."""

DECISION_SCHEMA: dict[str, pl.DataType] = {
    "market": pl.String(),
    "currency": pl.String(),
    "time": UTC_TIME,
    "algorithm": pl.String(),
    "version": pl.String(),
    "predicted_return": pl.Float64(),
    "rank": pl.Int64(),
    "held_weight": pl.Float64(),
    "target_weight": pl.Float64(),
    "price": pl.Float64(),
    "quantity": pl.Float64(),
    "note": pl.String(),
}
"""Weights are shares of the hour's sleeve, `price` the last close known, `quantity` what the sleeve holds after.

`predicted_return` and `rank` (1 the highest) are null where the currency gave no row, and `note` says
why an order was not filled.
"""
FILL_SCHEMA: dict[str, pl.DataType] = {
    "market": pl.String(),
    "account": pl.String(),
    "currency": pl.String(),
    "time": UTC_TIME,
    "filled_at": UTC_TIME,
    "side": pl.String(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "cost": pl.Float64(),
}
"""`price` is the open of the kline of `filled_at`; `cost` is fee and slippage, in USDT."""
BALANCE_SCHEMA: dict[str, pl.DataType] = {
    "market": pl.String(),
    "currency": pl.String(),
    "time": UTC_TIME,
    "rule": pl.String(),
    "capital": pl.Float64(),
    "sleeve_cash": pl.Float64(),
    "cash": pl.Float64(),
    "holdings": pl.Float64(),
    "equity": pl.Float64(),
    "universe_equity": pl.Float64(),
    "bitcoin_equity": pl.Float64(),
    "cost": pl.Float64(),
    "traded": pl.Float64(),
    "note": pl.String(),
}
"""After the hour's fills, holdings at the last close known at `time`; `cost` and `traded` are the hour's own.

`capital` is what every account began with, `sleeve_cash` the cash of the hour's sleeve, and `note` says
what of the hour was out of the ordinary.
"""
LEDGER_SCHEMAS = {
    "paper_decisions": DECISION_SCHEMA,
    "paper_fills": FILL_SCHEMA,
    "paper_balances": BALANCE_SCHEMA,
}
LEDGER_KEYS = {
    "paper_decisions": ("market", "currency", "time"),
    "paper_fills": ("market", "account", "currency", "time"),
    "paper_balances": ("market", "currency", "time"),
}
LEDGER_NULLABLE = {
    "paper_decisions": frozenset({"predicted_return", "rank", "note"}),
    "paper_fills": frozenset[str](),
    "paper_balances": frozenset({"bitcoin_equity", "note"}),
}
LEDGER_CONSTRAINTS = {
    "paper_decisions": {
        "weights_are_shares": "held_weight >= 0 AND target_weight >= 0 AND target_weight < 1.000001",
        "quantity_is_not_negative": "quantity >= 0",
    },
    "paper_fills": {
        "side_is_buy_or_sell": "side = 'buy' OR side = 'sell'",
        "fills_come_at_or_after_their_hour": "filled_at >= time",
        "something_is_filled": "quantity > 0 AND price > 0 AND cost >= 0",
    },
    "paper_balances": {
        "nothing_is_borrowed": "cash >= 0 AND sleeve_cash >= 0 AND holdings >= 0",
        "equity_is_cash_and_holdings": "abs(equity - cash - holdings) <= 0.000001 * capital",
    },
}

Ledger = dict[str, pl.DataFrame]
"""By name of the table: rows, sorted by its key."""


def ledger_of(rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> Ledger:
    """Rows by name of the table as frames."""
    return {
        name: pl.DataFrame(list(rows[name]), schema=schema, orient="row").sort(LEDGER_KEYS[name])
        for name, schema in LEDGER_SCHEMAS.items()
    }


@dataclass(frozen=True)
class Difference:
    """The first place where two ledgers part; None stands for a row or value that one of them lacks."""

    table: str
    key: tuple[str, ...]
    time: datetime
    column: str
    live: Any
    replayed: Any

    def __str__(self) -> str:
        return (
            f"{self.table} of {' '.join(self.key)} at {self.time:%Y-%m-%d %H:%M}: {self.column} is {self.live!r} in "
            f"the ledger and {self.replayed!r} in the replay"
        )


def first_difference(live: Ledger, replayed: Ledger) -> Difference | None:
    """The earliest row that is not the same bit for bit in both, None where they say the same."""
    found = [_first(name, live[name], replayed[name]) for name in LEDGER_SCHEMAS]
    return min((one for one in found if one), key=lambda one: one.time, default=None)


def _first(name: str, live: pl.DataFrame, replayed: pl.DataFrame) -> Difference | None:
    if live.equals(replayed):
        return None
    key = LEDGER_KEYS[name]
    values = [column for column in LEDGER_SCHEMAS[name] if column not in key]
    both = live.with_columns(is_live=pl.lit(True)).join(
        replayed.with_columns(is_replayed=pl.lit(True)), on=key, how="full", coalesce=True, suffix=" "
    )
    parted = [pl.col(column).ne_missing(pl.col(f"{column} ")) for column in values]
    lacking = [pl.col("is_live").is_null(), pl.col("is_replayed").is_null()]
    row = both.filter(pl.any_horizontal(*parted, *lacking)).sort("time", *key).row(0, named=True)
    where = tuple(row[column] for column in key if column != "time")
    if row["is_live"] is None or row["is_replayed"] is None:
        here = ["there" if row[side] else "absent" for side in ("is_live", "is_replayed")]
        return Difference(name, where, row["time"], "the row", *here)
    column = next(one for one in values if row[one] != row[f"{one} "])
    return Difference(name, where, row["time"], column, row[column], row[f"{column} "])


def between(ledger: Ledger, start: datetime, end: datetime) -> Ledger:
    """The rows of hours in [start, end)."""
    inside = pl.col("time").is_between(start, end, closed="left")
    return {name: rows.filter(inside) for name, rows in ledger.items()}


def joined(parts: Sequence[Ledger]) -> Ledger:
    """Ledgers of neighbouring hours as one."""
    whole = parts or [ledger_of(dict.fromkeys(LEDGER_SCHEMAS, ()))]
    return {name: pl.concat(part[name] for part in whole).sort(LEDGER_KEYS[name]) for name in LEDGER_SCHEMAS}

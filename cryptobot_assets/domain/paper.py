"""The paper bot, one hour at a time: what it knows, decides, pays, and holds afterwards.

::

    klines    ... ----|---- row ----|-- next kline --
                                  hour
                                    ^ decided of the rows known here, filled at this open (or the first
                                      one within minutes), so that nothing later is ever read

The pool is 24 sleeves as in the pool value: sleeve h decides at hour h of each day. Its holdings are
weighed at the last close known, the allocation rule says what it wants, and the difference is bought
and sold at the next opens, each side paying fee and slippage. Sales come first; what is bought is
cut to the cash there is. An order that finds no open in time is dropped and its note says so.

The same function books an hour as klines land and replays it years later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cryptobot_assets.domain.allocation import Decision, better_share, capped
from cryptobot_assets.domain.paper_book import Book, Hour, Quantities, Terms
from cryptobot_assets.domain.paper_ledger import BITCOIN, BOT, MONEY, UNIVERSE
from cryptobot_assets.domain.portfolio import VOLATILITY_HOURS, trailing_volatility
from cryptobot_assets.domain.rules import places_for

DUST = 1e-6
"""Share of a sleeve below which nothing is bought or sold."""
BITCOIN_CURRENCY = "BTCUSDT"


@dataclass(frozen=True)
class Trades:
    """A sleeve's orders of an hour, (n,): quantities and USDT of what was filled, and what it cost."""

    bought: np.ndarray
    sold: np.ndarray
    paid: np.ndarray
    got: np.ndarray
    missed: np.ndarray
    cash: float


def step(book: Book, hour: Hour, terms: Terms) -> tuple[Book, dict[str, list[dict[str, Any]]]]:
    """Book one hour: the book afterwards, and the hour's rows by name of the ledger's table."""
    sleeve = hour.time.hour
    before = book.held[sleeve]
    now = hour.seen(before)
    quantity = np.array([before.get(name, 0.0) for name in now.currencies])
    values = np.where(quantity > 0, quantity * np.nan_to_num(now.marks), 0.0)
    capital = math.fsum([book.cash[sleeve], *values])
    weights = values / capital
    wish = _wish(now, weights, capital, terms)
    trades = _trade(now, quantity, weights, wish, capital, book.cash[sleeve], terms.costs.share)
    after = quantity - trades.sold + trades.bought
    held = {name: float(amount) for name, amount in zip(now.currencies, after, strict=True) if amount > 0}
    fills = _fills(now, trades, terms)
    booked = book.with_sleeve(sleeve, trades.cash, held)
    booked, bought = _buy_controls(booked, hour.seen(()), terms)
    rows = {
        "paper_decisions": _decisions(now, weights, wish, after, trades, terms),
        "paper_fills": [*fills, *bought],
        "paper_balances": [_balance(booked, hour, terms, sleeve, trades)],
    }
    return booked, rows


def _wish(hour: Hour, weights: np.ndarray, capital: float, terms: Terms) -> np.ndarray:
    """Shares of the sleeve's capital that the rule wants; what is held where no currency gave a row."""
    if not np.isfinite(hour.score).any():
        return weights
    alive = int(np.isfinite(hour.closes).any(axis=0).sum())
    decision = Decision(
        score=hour.score[None, :],
        held=weights[None, :],
        volatility=trailing_volatility(hour.closes, 1, VOLATILITY_HOURS),
        most=(np.nan_to_num(hour.traded) * terms.capacity / capital)[None, :],
    )
    wish: np.ndarray = capped(terms.rule.make(places_for(alive), terms.costs.share))(decision)[0]
    return wish


def _trade(
    hour: Hour,
    quantity: np.ndarray,
    weights: np.ndarray,
    wish: np.ndarray,
    capital: float,
    cash: float,
    share: float,
) -> Trades:
    wanted = wish - weights
    priced = np.isfinite(hour.opens)
    opens = np.where(priced, hour.opens, 1.0)
    selling, buying = wanted < -DUST, wanted > DUST
    part = np.where(wish > 0, np.minimum(-wanted / np.where(weights > 0, weights, 1.0), 1.0), 1.0)
    sold = np.where(selling & priced, quantity * part, 0.0)
    got = sold * opens
    cash = math.fsum([cash, *got, *(-share * got)])
    asked = np.where(buying & priced, wanted * capital, 0.0)
    total = math.fsum(asked)
    paid = asked * min(1.0, cash / total) if total > 0 else asked
    bought = paid * (1 - share) / opens
    left = max(math.fsum([cash, *(-paid)]), 0.0)
    return Trades(bought, sold, paid, got, (selling | buying) & ~priced, left)


def _decisions(
    hour: Hour, weights: np.ndarray, wish: np.ndarray, after: np.ndarray, trades: Trades, terms: Terms
) -> list[dict[str, Any]]:
    ranked = np.isfinite(hour.score)
    rank = np.round(np.nan_to_num(better_share(hour.score[None, :])[0]) * ranked.sum()).astype(int) + 1
    return [
        {
            "market": terms.market,
            "currency": name,
            "time": hour.time,
            "algorithm": hour.algorithm,
            "version": hour.version,
            "predicted_return": float(hour.score[n]) if ranked[n] else None,
            "rank": int(rank[n]) if ranked[n] else None,
            "held_weight": float(weights[n]),
            "target_weight": float(wish[n]),
            "price": float(hour.marks[n]),
            "quantity": float(after[n]),
            "note": "no open in time: the order was dropped" if trades.missed[n] else None,
        }
        for n, name in enumerate(hour.currencies)
        if ranked[n] or weights[n] > 0 or after[n] > 0
    ]


def _fills(hour: Hour, trades: Trades, terms: Terms) -> list[dict[str, Any]]:
    share = terms.costs.share
    made = []
    for n in range(len(hour.currencies)):
        if trades.sold[n] > 0:
            made.append(_fill(hour, n, BOT, "sell", trades.sold[n], trades.got[n] * share, terms))
        if trades.bought[n] > 0:
            made.append(_fill(hour, n, BOT, "buy", trades.bought[n], trades.paid[n] * share, terms))
    return made


def _fill(hour: Hour, n: int, account: str, side: str, quantity: float, cost: float, terms: Terms) -> dict[str, Any]:
    return {
        "market": terms.market,
        "account": account,
        "currency": hour.currencies[n],
        "time": hour.time,
        "filled_at": hour.opened[n],
        "side": side,
        "quantity": float(quantity),
        "price": float(hour.opens[n]),
        "cost": float(cost),
    }


def _buy_controls(book: Book, hour: Hour, terms: Terms) -> tuple[Book, list[dict[str, Any]]]:
    """The control accounts bought, once: equal parts of everything ranked that can be had, and Bitcoin."""
    ready = np.flatnonzero(np.isfinite(hour.score) & np.isfinite(hour.opens))
    bitcoin = [int(n) for n in ready if hour.currencies[n] == BITCOIN_CURRENCY]
    controls, fills = dict(book.controls), []
    for account, chosen in ((UNIVERSE, ready.tolist()), (BITCOIN, bitcoin)):
        if account in controls or not chosen:
            continue
        value = terms.capital / len(chosen)
        bought = {n: value * (1 - terms.costs.share) / float(hour.opens[n]) for n in chosen}
        fills += [
            _fill(hour, n, account, "buy", amount, value * terms.costs.share, terms) for n, amount in bought.items()
        ]
        controls[account] = {hour.currencies[n]: amount for n, amount in bought.items()}
    return replace(book, controls=controls), fills


def _balance(book: Book, hour: Hour, terms: Terms, sleeve: int, trades: Trades) -> dict[str, Any]:
    marks = dict(zip(hour.currencies, hour.marks.tolist(), strict=True))
    cash = math.fsum(book.cash)
    holdings = math.fsum(amount * marks[name] for held in book.held for name, amount in held.items())
    traded = math.fsum([*trades.got, *trades.paid])
    return {
        "market": terms.market,
        "currency": MONEY,
        "time": hour.time,
        "rule": terms.rule.name,
        "capital": terms.capital,
        "sleeve_cash": book.cash[sleeve],
        "cash": cash,
        "holdings": holdings,
        "equity": math.fsum([cash, holdings]),
        "universe_equity": _worth(book.controls.get(UNIVERSE), marks, terms.capital),
        "bitcoin_equity": _worth(book.controls.get(BITCOIN), marks, None),
        "cost": traded * terms.costs.share,
        "traded": traded,
        "note": _notes(hour, trades),
    }


def _worth(held: Quantities | None, marks: Quantities, otherwise: float | None) -> float | None:
    return otherwise if held is None else math.fsum(amount * marks[name] for name, amount in held.items())


def _notes(hour: Hour, trades: Trades) -> str | None:
    notes: list[str] = []
    if not np.isfinite(hour.score).any():
        notes.append("no currency gave a row: the sleeve keeps what it holds")
    if trades.missed.any():
        notes.append(f"{int(trades.missed.sum())} orders dropped: no open in time")
    return "; ".join(notes) or None


def run(book: Book, hours: Iterable[Hour], terms: Terms) -> tuple[Book, dict[str, list[dict[str, Any]]]]:
    """Book hours one after the other."""
    rows: dict[str, list[dict[str, Any]]] = {"paper_decisions": [], "paper_fills": [], "paper_balances": []}
    for hour in hours:
        book, made = step(book, hour, terms)
        for name, more in made.items():
            rows[name] += more
    return book, rows

"""The paper bot's hour: what is bought, sold, paid and held, by hand; and what it may not know."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.paper import run, step
from cryptobot_assets.domain.paper_book import Book, Hour, Terms
from cryptobot_assets.domain.paper_ledger import between, first_difference, ledger_of
from cryptobot_assets.domain.pool_value import SLEEVES, Costs
from cryptobot_assets.domain.portfolio import VOLATILITY_HOURS
from cryptobot_assets.domain.rules import OWN_RULES

COSTS = Costs(fee_bps=80, slippage_bps=20)
TERMS = Terms(market="ALL", rule=OWN_RULES["best"], costs=COSTS, capital=2400.0, capacity=1.0)
NAMES = ("ADAUSDT", "BTCUSDT", "ETHUSDT")
NAN = math.nan


def make_hour(score: list[float], opens: list[float], *, hours: int = 0, **values: object) -> Hour:
    """An hour of three currencies whose closes stood still at 10, 20 and 40."""
    closes = np.tile([10.0, 20.0, 40.0], (VOLATILITY_HOURS + 1, 1))
    time = hours_after(hours)
    made = Hour(
        time=time,
        algorithm="ridge",
        version="3",
        currencies=NAMES,
        score=np.array(score),
        closes=closes,
        marks=closes[-1],
        traded=np.full(3, 1e9),
        opens=np.array(opens),
        opened=tuple(None if math.isnan(one) else time for one in opens),
    )
    return replace(made, **values)


OPENS = [10.0, 20.0, 50.0]


def test_a_sleeve_buys_the_best_at_the_next_open_and_pays_for_it() -> None:
    book, rows = step(Book.opened(2400.0), make_hour([0.1, 0.2, 0.3], OPENS), TERMS)
    assert book.cash[0] == 0.0 and book.cash[1:] == (100.0,) * 23
    assert book.held[0] == {"ETHUSDT": pytest.approx(100 * 0.99 / 50)}
    [fill] = [row for row in rows["paper_fills"] if row["account"] == "bot"]
    assert (fill["side"], fill["price"], fill["filled_at"]) == ("buy", 50.0, START)
    assert fill["cost"] == pytest.approx(1.0)
    [balance] = rows["paper_balances"]
    assert balance["holdings"] == pytest.approx(99 / 50 * 40), "marked at the close known, not at the open"
    assert balance["equity"] == pytest.approx(2300 + 99 / 50 * 40)
    ranks = {row["currency"]: (row["rank"], row["target_weight"]) for row in rows["paper_decisions"]}
    assert ranks == {"ADAUSDT": (3, 0.0), "BTCUSDT": (2, 0.0), "ETHUSDT": (1, 1.0)}


def test_what_is_sold_pays_for_what_is_bought_a_day_later() -> None:
    hours = [make_hour([0.1, 0.2, 0.3], [10.0, 20.0, 40.0]), make_hour([0.3, 0.2, 0.1], [10.0, 20.0, 40.0], hours=24)]
    book, rows = run(Book.opened(2400.0), hours, TERMS)
    assert book.held[0] == {"ADAUSDT": pytest.approx(100 * 0.99**3 / 10)}
    assert book.cash[0] == 0.0
    sides = [(row["side"], row["currency"]) for row in rows["paper_fills"] if row["account"] == "bot"]
    assert sides == [("buy", "ETHUSDT"), ("buy", "ADAUSDT"), ("sell", "ETHUSDT")]
    assert rows["paper_balances"][1]["traded"] == pytest.approx(99 + 99 * 0.99)


def test_controls_buy_once_what_can_be_had_at_the_first_hour() -> None:
    hours = [make_hour([0.1, 0.2, 0.3], OPENS), make_hour([0.3, 0.2, 0.1], OPENS, hours=1)]
    book, rows = run(Book.opened(2400.0), hours, TERMS)
    assert book.controls["bitcoin"] == {"BTCUSDT": pytest.approx(2400 * 0.99 / 20)}
    assert book.controls["universe"]["ETHUSDT"] == pytest.approx(800 * 0.99 / 50)
    assert len([row for row in rows["paper_fills"] if row["account"] == "universe"]) == 3
    assert rows["paper_balances"][1]["bitcoin_equity"] == pytest.approx(2400 * 0.99)
    assert rows["paper_balances"][1]["universe_equity"] == pytest.approx(1600 * 0.99 + 800 * 0.99 * 0.8)


def test_an_order_without_an_open_is_dropped_and_says_so() -> None:
    book, rows = step(Book.opened(2400.0), make_hour([0.1, 0.2, 0.3], [10.0, 20.0, NAN]), TERMS)
    assert book.held[0] == {} and book.cash[0] == 100.0
    notes = {row["currency"]: row["note"] for row in rows["paper_decisions"]}
    assert notes["ETHUSDT"] == "no open in time: the order was dropped" and notes["BTCUSDT"] is None
    assert rows["paper_balances"][0]["note"] == "1 orders dropped: no open in time"
    sold = make_hour([0.3, 0.2, 0.1], [10.0, 20.0, NAN], hours=24)
    bought, _ = step(Book.opened(2400.0), make_hour([0.1, 0.2, 0.3], OPENS), TERMS)
    kept, _ = step(bought, sold, TERMS)
    assert kept.held[0] == bought.held[0], "what cannot be sold stays, and there is no cash to buy with"


def test_an_hour_in_which_nobody_gave_a_row_keeps_what_is_held() -> None:
    bought, _ = step(Book.opened(2400.0), make_hour([0.1, 0.2, 0.3], OPENS), TERMS)
    kept, rows = step(bought, make_hour([NAN] * 3, OPENS, hours=24), TERMS)
    assert (kept.cash, kept.held) == (bought.cash, bought.held)
    assert rows["paper_fills"] == [] and "keeps what it holds" in rows["paper_balances"][0]["note"]
    assert [row["currency"] for row in rows["paper_decisions"]] == ["ETHUSDT"]


def test_no_sleeve_holds_more_than_its_share_of_what_is_traded() -> None:
    hour = make_hour([0.1, 0.2, 0.3], [10.0, 20.0, 40.0], traded=np.array([1e9, 1e9, 250.0]))
    book, rows = step(Book.opened(2400.0), hour, replace(TERMS, capacity=0.1))
    assert book.held[0] == {"ETHUSDT": pytest.approx(25 * 0.99 / 40)} and book.cash[0] == pytest.approx(75.0)
    assert rows["paper_decisions"][2]["target_weight"] == pytest.approx(0.25)


def test_a_currency_that_is_not_there_yet_changes_no_bit() -> None:
    random = np.random.default_rng(0)
    hours = [
        make_hour(random.normal(size=3).tolist(), [10.0, 20.0, 40.0], hours=n, marks=random.uniform(9, 11, 3))
        for n in range(60)
    ]

    def widened(hour: Hour) -> Hour:
        return replace(
            hour,
            currencies=(*hour.currencies, "LATEUSDT"),
            score=np.append(hour.score, NAN),
            closes=np.column_stack([hour.closes, np.full(len(hour.closes), NAN)]),
            marks=np.append(hour.marks, NAN),
            traded=np.append(hour.traded, 0.0),
            opens=np.append(hour.opens, NAN),
            opened=(*hour.opened, None),
        )

    terms = replace(TERMS, rule=OWN_RULES["keep_calm"])
    assert run(Book.opened(2400.0), hours, terms) == run(Book.opened(2400.0), map(widened, hours), terms)


@pytest.mark.parametrize("rule", OWN_RULES)
def test_money_is_never_made_of_nothing(rule: str) -> None:
    random = np.random.default_rng(1)
    hours = [make_hour(random.normal(0, 0.05, 3).tolist(), [10.0, 20.0, 40.0], hours=n) for n in range(24 * 6)]
    _, rows = run(Book.opened(2400.0), hours, replace(TERMS, rule=OWN_RULES[rule]))
    costs = np.cumsum([row["cost"] for row in rows["paper_balances"]])
    equity = np.array([row["equity"] for row in rows["paper_balances"]])
    assert equity == pytest.approx(2400 - costs), "prices stand still: what is lost is what was paid"
    assert costs[-1] > 0 and min(row["cash"] for row in rows["paper_balances"]) >= 0


def test_the_first_difference_of_two_ledgers_is_named() -> None:
    hours = [make_hour([0.1, 0.2, 0.3], OPENS, hours=n) for n in range(SLEEVES)]
    live = ledger_of(run(Book.opened(2400.0), hours, TERMS)[1])
    assert first_difference(live, live) is None
    other = ledger_of(run(Book.opened(2400.0), [*hours[:5], replace(hours[5], version="4"), *hours[6:]], TERMS)[1])
    found = first_difference(live, other)
    assert (found.table, found.time, found.column, found.live, found.replayed) == (
        "paper_decisions", hours[5].time, "version", "3", "4",
    )  # fmt: skip
    assert str(found).startswith("paper_decisions of ALL ADAUSDT at 2024-01-01 05:00: version is '3' in the ledger")
    shorter = between(live, START, START + 3 * HOUR)
    assert first_difference(live, shorter).replayed == "absent"
    assert first_difference(live, shorter).time == START + timedelta(hours=3)

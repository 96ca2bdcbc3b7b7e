"""Live equals backtest: a market lived through hour by hour, and the same hours run again in one go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cryptobot_assets.assets.features import indicate
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.paper_ledger import first_difference
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.paper import PaperBot
from cryptobot_assets.progress import Silent
from cryptobot_assets.storage.store import KLINES, PAPER_BALANCES, Store
from cryptobot_assets_tests.paper.live import BOOKED, CURRENCIES, CUTOFF, END, HALT, HALTED, Life, forget


def test_living_and_replaying_give_the_same_ledger_bit_for_bit(lived: Life) -> None:
    ledger, replay = lived.ledger(), lived.bot.replay()
    assert ledger["paper_balances"].height == replay.compared == BOOKED
    assert replay.difference is None
    assert all(ledger[name].equals(replay.ledger[name]) for name in ledger)
    assert set(ledger["paper_decisions"]["version"]) == {"1", "2"}
    assert {"buy", "sell"} == set(ledger["paper_fills"].filter(account="bot")["side"])


def test_a_replay_from_any_hour_goes_on_from_what_was_held(lived: Life) -> None:
    replay = lived.bot.replay(CUTOFF + 13 * HOUR, CUTOFF + 26 * HOUR)
    assert (replay.compared, replay.difference) == (13, None)


def test_orders_in_a_halt_are_dropped_and_say_so(lived: Life) -> None:
    halted = lived.ledger()["paper_decisions"].filter(currency=HALTED)
    [wanted] = halted.filter(time=HALT[0]).iter_rows(named=True)
    assert wanted["target_weight"] < wanted["held_weight"] and wanted["quantity"] > 0, "it could not be sold"
    assert wanted["note"] == "no open in time: the order was dropped"
    filled = lived.ledger()["paper_fills"].filter(currency=HALTED)["filled_at"]
    assert filled.len() and not filled.is_between(*HALT, closed="left").any()


def perturb(life: Life, after: datetime) -> None:
    """Other prices in every kline later than an instant, and the indicators that follow from them."""
    store = life.store
    rows = store.read(KLINES, start=after + HOUR)
    factor = pl.Series([1.05 + 0.1 * (n % 7) for n in range(rows.height)])
    others = rows.with_columns(pl.col(name) * factor for name in ("open", "high", "low", "close", "quote_volume"))
    store.replace(KLINES, others, start=after + HOUR, end=None)
    for name in CURRENCIES:
        indicate(Span(name, after.replace(hour=0), END.replace(hour=0) + DAY), "1h", store)


def test_later_klines_change_nothing_decided_or_filled_before(lived: Life, tmp_path: Path) -> None:
    life, before = lived.copy(tmp_path / "home"), lived.ledger()
    moment = CUTOFF + 15 * HOUR
    perturb(life, moment)
    replay = life.bot.replay()
    assert replay.difference.time == moment + HOUR, "and the next hour tells that they were other klines"
    known = pl.col("time") <= moment
    assert all(before[name].filter(known).equals(replay.ledger[name].filter(known)) for name in before)


def test_booking_again_books_nothing_and_waiting_says_what_for(lived: Life) -> None:
    before = lived.ledger()
    booked = lived.book()
    assert (booked.hours, booked.waits_for) == (
        0,
        f"the klines that open at {END:%Y-%m-%d %H:%M} and the indicators known then",
    )
    assert first_difference(before, lived.ledger()) is None


def test_an_hour_waits_for_every_currency(lived: Life, tmp_path: Path) -> None:
    life = lived.copy(tmp_path / "home")
    store = life.store
    for table in (KLINES, PAPER_BALANCES):
        options = {"currency": "LTCUSDT"} if table is KLINES else {}
        store.replace(table, pl.DataFrame(schema=table.schema), start=END - 2 * HOUR, end=None, **options)
    assert life.book().hours == 0


class Killed(BaseException):
    """Ends a booking where a kill would."""


@dataclass
class CutShort:
    """The store, for so many more writes."""

    store: Store
    writes: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def replace(self, *arguments: Any, **options: Any) -> int:
        if not self.writes:
            raise Killed
        self.writes -= 1
        return self.store.replace(*arguments, **options)


@pytest.mark.parametrize("writes", [1, 2])
def test_a_booking_cut_short_is_done_again_and_nothing_shows(lived: Life, tmp_path: Path, writes: int) -> None:
    life, whole = lived.copy(tmp_path / "home"), lived.ledger()
    forget(life, END - 5 * HOUR)
    with pytest.raises(Killed):
        PaperBot(CutShort(life.store, writes), life.registry, life.settings).book(Silent())
    assert life.ledger()["paper_balances"].height == BOOKED - 5
    assert life.book().hours == 5
    assert first_difference(whole, life.ledger()) is None

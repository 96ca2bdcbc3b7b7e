"""Live equals backtest, hour by hour and in one go; the ledger as people meet it: in Dagster, commands, SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.assets.features import indicate
from cryptobot_assets.assets.paper import CHECK, paper_assets
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.paper_ledger import first_difference
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.paper import PaperBot
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Silent
from cryptobot_assets.storage.store import KLINES, PAPER_BALANCES, PAPER_FILLS, Store
from cryptobot_assets_tests.cli.conftest import Run
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


def materialize(life: Life) -> dg.ExecuteInProcessResult:
    """A run of the asset over this home."""
    resources = {"store": life.store, "registry": life.registry, "progress": Silent()}
    return dg.materialize(paper_assets(Partitions(life.settings)), resources=resources)


def told(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    [event] = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_the_asset_books_what_is_due_and_its_check_replays_it(lived: Life, tmp_path: Path) -> None:
    life, whole = lived.copy(tmp_path / "home"), lived.ledger()
    forget(life, END - 3 * HOUR)
    result = materialize(life)
    assert told(result)["booked_hours"] == 3 and told(result)["hours"] == BOOKED
    assert first_difference(whole, life.ledger()) is None
    [check] = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.metadata["hours"].value) == (CHECK, True, 25)
    fills = life.store.read(PAPER_FILLS)
    altered = fills.with_columns(price=pl.col("price") * pl.when(pl.col("time") == END - 2 * HOUR).then(2).otherwise(1))
    assert not altered.equals(fills)
    life.store.replace(PAPER_FILLS, altered, start=None, end=None)
    [check] = materialize(life).get_asset_check_evaluations()
    assert not check.passed and "price is" in check.metadata["first_difference"].value
    assert check.severity is dg.AssetCheckSeverity.WARN


@pytest.fixture
def settings_of(lived: Life, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What tells a command to use the home that was lived in."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{lived.settings.home / 'mlflow.db'}")
    return {"HOME": lived.settings.home, "PAPER_RULE": "top", "EXCHANGE_URL": lived.settings.exchange_url}


def test_status_tells_equity_beside_the_controls_net_of_costs(
    run: Run, settings_of: dict[str, object], lived: Life
) -> None:
    outcome = run("paper", "status", "--json", **settings_of)
    assert (outcome.code, outcome.err) == (0, "")
    told, balance = json.loads(outcome.out), lived.ledger()["paper_balances"].row(-1, named=True)
    sold = 1 - 12 / 10_000
    assert told["net"] == pytest.approx((balance["cash"] + balance["holdings"] * sold) / 100_000)
    assert told["universe"] == pytest.approx(balance["universe_equity"] * sold / 100_000)
    assert (told["fee_bps"], told["slippage_bps"], told["days"], told["over_universe_ci"]) == (10, 2, 1, None)
    assert sum(row["value"] for row in told["holdings"]) == pytest.approx(balance["holdings"], rel=0.05)
    assert len(told["fills"]) == 10
    outcome = run("paper", "status", **settings_of)
    assert "holding the universe" in outcome.out and "too few for an interval" in outcome.out


def test_backtest_says_that_the_ledger_is_what_a_replay_gives(run: Run, settings_of: dict[str, object]) -> None:
    outcome = run("paper", "backtest", **settings_of)
    assert outcome.code == 0, outcome
    assert f"The ledger says the same bit for bit: {BOOKED} hours." in outcome.out
    outcome = run("paper", "backtest", **settings_of | {"FEE_BPS": 11})
    assert "the ledger is not what the replay gives: paper_" in outcome.require_refusal(1)
    outcome = run("paper", "backtest", "--from", "2025-02-01", "--json", **settings_of)
    assert json.loads(outcome.out)["compared_hours"] == 0


def test_an_empty_home_says_what_is_lacking(run: Run) -> None:
    assert "booked nothing yet" in run("paper", "status").require_refusal(1)


def test_the_ledger_can_be_asked_in_sql(run: Run, settings_of: dict[str, object]) -> None:
    asked = "SELECT count(*) AS hours, min(cash) >= 0 AS solvent FROM paper_balances"
    outcome = run("sql", asked, "--format", "csv", **settings_of)
    assert outcome.out.splitlines() == ["hours,solvent", f"{BOOKED},true"]

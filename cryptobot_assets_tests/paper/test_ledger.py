"""The ledger as people meet it: the asset in Dagster, the command, SQL."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.assets.paper import CHECK, paper_assets
from cryptobot_assets.domain.paper_ledger import first_difference
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Silent
from cryptobot_assets.storage.store import PAPER_FILLS
from cryptobot_assets_tests.cli.conftest import Run
from cryptobot_assets_tests.paper.live import BOOKED, END, HOUR, Life, forget


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

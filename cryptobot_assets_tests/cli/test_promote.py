"""`cryptobot promote` on a real store and a real registry: who serves, by whose decision, and what the gate says."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cryptobot_assets.assets.promotion import crown
from cryptobot_assets.cli.promote import find_version, who
from cryptobot_assets.contracts.factories import make_predictions
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.domain.evaluation import skill_of
from cryptobot_assets.errors import NoModel
from cryptobot_assets.leaderboard import evaluate_market
from cryptobot_assets.report import champion_part
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS
from cryptobot_assets_tests.cli.conftest import Run
from cryptobot_assets_tests.conftest import MakeDatabase
from cryptobot_assets_tests.storage.test_registry import train

NAMES = ("ADAUSDT", "BTCUSDT", "ETHUSDT")
HOURS = 24 * 20


@pytest.fixture
def settings(home: Path) -> Settings:
    """A home where ridge knows something and lasso knows nothing."""
    settings = Settings.load(home=home, interval="1h", currencies=",".join(NAMES))
    store = Lake(settings.lake_url)
    closes = pl.concat([make_rows(INDICATORS, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    store.replace(INDICATORS, closes, start=None, end=None)
    lasso = make_predictions(closes, algorithm="lasso")
    guess = pl.col("realised_return").fill_null(0.0) / 2 + pl.col("predicted_return") / 4
    ridge = lasso.with_columns(algorithm=pl.lit("ridge"), predicted_return=guess)
    store.replace(PREDICTIONS, pl.concat([lasso, ridge]), start=None, end=None)
    return settings


def test_a_person_decides_the_gate_is_heard_and_gets_it_back(
    run: Run, settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch, mlflow_database: MakeDatabase
) -> None:
    address = mlflow_database(home / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    registry = Registry(address, home / "artifacts")
    for algorithm in ("ridge", "lasso"):
        train(registry, "ALL", algorithm)

    def evaluate() -> tuple[str, tuple[str, ...]]:
        found = evaluate_market(Lake(settings.lake_url), settings, "ALL", draws=0)
        champion, verdict = crown(registry, "ALL", found, skill=skill_of(found, seed=1))
        return champion.algorithm, verdict.reasons

    assert evaluate()[0] == "ridge" and registry.champion("ALL").verdict == "passed"
    choice = ("promote", "--market", "all", "--model", "cryptobot-ALL-lasso", "--version", "1")
    named = {"INTERVAL": "1h", "CURRENCIES": ",".join(NAMES)}
    done = run(*choice, "--reason", "  ridge looks too good\n to be true ", **named)
    assert done.code == 0, done
    assert "lasso version 1 serves ALL now (unproven)" in done.out and "not below" in done.out

    champion = registry.champion("ALL")
    assert (champion.algorithm, champion.verdict) == ("lasso", "unproven"), "served as unproven"
    assert (champion.override.by, champion.override.reason) == (who(), "ridge looks too good to be true")
    assert champion.override.gate == "unproven" and any("not below" in one for one in champion.override.gate_reasons)
    assert champion.promotions[-1]["reason"] == "ridge looks too good to be true"
    part = champion_part(champion)
    assert part["verdict"]["promote"] is False and part["override"]["by"] == who()

    algorithm, reasons = evaluate()
    assert algorithm == "lasso" and "the alias stays on lasso version 1" in reasons[-1]
    assert registry.challenger("ALL").algorithm == "ridge" and registry.champion("ALL").override is not None

    back = run("promote", "--by-gate", **named)
    assert back.code == 0 and "ridge version 1 serves (passed)" in back.out, back
    assert registry.champion("ALL").override is None
    assert [one.override for one in registry.promoted("ALL")] == [None, None]
    assert evaluate()[0] == "ridge"
    assert "the gate decides already" in run("promote", "--undo", **named).require_refusal(2)
    assert "choose among 1" in run(*choice[:-1], "9", "--reason", "x", **named).require_refusal(1)
    with pytest.raises(NoModel, match="choose among cryptobot-ALL-lasso, cryptobot-ALL-ridge"):
        find_version(registry, "ALL", "elastic", "1")


def test_a_decision_names_a_version_and_a_reason(run: Run) -> None:
    for missing in ((), ("--model", "ridge"), ("--model", "ridge", "--version", "1")):
        assert "--reason" in run("promote", *missing).require_refusal(2)
    both = ("--by-gate", "--model", "ridge", "--version", "1", "--reason", "x")
    assert "the gate decides" in run("promote", *both).require_refusal(2)
    long = ("--model", "ridge", "--version", "1", "--reason", "x" * 501)
    assert "1 to 500" in run("promote", *long).require_refusal(2)

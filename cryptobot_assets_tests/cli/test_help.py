"""Every command explains itself, with the options users rely on."""

from __future__ import annotations

import pytest

from cryptobot_assets_tests.cli.conftest import Run

OPTIONS = {
    "demo": (
        "--once", "--report", "--replay", "--interval", "--currencies", "--trials", "--folds", "--cutoffs",
        "--algorithms", "--seed", "--home",
    ),
    "up": (),
    "run": ("SERVICE", "metrics", "--host", "--port", "--workspace"),
    "alive": (),
    "dashboard": (),
    "metrics": ("--once", "--host"),
    "exchange": ("--port", "--replay", "--simulate", "--currencies", "--days", "--regime", "--faults"),
    "backfill": ("--currencies", "--from", "--to"),
    "report": ("--market", "--from", "--to", "--json", "--html"),
    "features": ("--market",),
    "promote": ("--market", "--model", "--version", "--reason", "--by-gate", "--undo"),
    "holdout": ("open", "log"),
    "cluster": ("scheduler", "worker"),
    "paper": ("status", "backtest"),
    "key": ("new", "list", "revoke"),
    "sql": ("QUERY", "--format", "[table|csv|parquet]", "--out"),
    "retrain": ("NAME", "VERSION"),
    "copy": ("FROM_URL", "TO_URL"),
    "lineage": ("PREDICTION_ID", "--currency", "--json"),
    "audit": ("--seed",),
    "alert": ("TEXT",),
    "backup": ("--to", "--list", "--verify"),
    "restore": ("FROM", "--at", "--only", "--replace"),
    "plugins": (),
    "doctor": (),
}  # fmt: skip


@pytest.mark.parametrize("command", OPTIONS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_the_options(run: Run, command: str, flag: str) -> None:
    outcome = run(command, flag)
    assert outcome.code == 0 and outcome.err == ""
    assert f"Usage: cryptobot {command}" in outcome.out
    for option in OPTIONS[command]:
        assert option in outcome.out


def test_help_lists_every_command(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    listed = [line.split()[0] for line in outcome.out.split("Commands:")[1].splitlines() if line.strip()]
    assert sorted(listed) == sorted(OPTIONS)


def test_the_version_is_the_packages(run: Run) -> None:
    outcome = run("--version")
    assert outcome.code == 0 and "0.1.0" in outcome.out

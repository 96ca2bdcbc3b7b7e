"""A whole small platform, backed up by Dagster, destroyed, restored, and found as it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.cli.service import ask, start_service
from cryptobot_assets.deployment import open_deployment
from cryptobot_assets.processes import Supervisor
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import metadata_urls, release_metadata
from cryptobot_assets_tests.platform.commands import left_behind, read_tables, require_same_tables, run, start

pytestmark = [pytest.mark.platform, pytest.mark.timeout(600)]

DEMO = (
    "demo", "--once", "--interval", "1h", "--currencies", "BTCUSDT,ETHUSDT", "--algorithms", "ridge",
    "--trials", 1, "--folds", 1, "--cutoffs", 1,
)  # fmt: skip
ASSETS = ("klines", "indicators", "ridge_model", "predictions", "evaluation_report", "pool_value", "champion_model")


@dataclass(frozen=True)
class Known:
    """What people see of a platform."""

    tables: dict[str, pl.DataFrame]
    report: dict[str, Any]
    materialized: dict[str, set[str]]
    runs: dict[str, str]
    versions: list[tuple]
    champion: tuple
    reply: dict[str, Any]


def look(home: Path) -> Known:
    """Look at everything, through what people use."""
    settings = Settings.load(home=home)
    with open_deployment(settings) as deployment:
        materialized = {name: deployment.materialized(name) for name in ASSETS}
        runs = {one.run_id: one.status.value for one in deployment.instance.get_runs()}
        registry = open_registry(settings)
        versions = [(one.name, one.version, one.cutoff, one.run_id, dict(one.tags)) for one in registry.versions("ALL")]
        champion = registry.champion("ALL")
        with Supervisor() as supervisor:
            reply = ask(start_service(settings, supervisor, port=None), {"currency": "BTCUSDT"})
    reply.pop("age_seconds")
    return Known(
        read_tables(home),
        json.loads(run(home, "report", "--json")),
        materialized,
        runs,
        versions,
        (champion.name, champion.version, champion.source_version, champion.reasons, champion.promotions),
        reply,
    )


@dataclass(frozen=True)
class Restored:
    """A home before it was destroyed, after it was restored, and where the backups are."""

    home: Path
    before: Known
    after: Known
    backups: Path
    backup_run: str
    told: str


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    folder = tmp_path_factory.mktemp("platform")
    home, backups = folder / "home", folder / "backups"
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("CRYPTOBOT_", "MLFLOW_", "DAGSTER_"))]:
            environment.delenv(name)
        run(home, *DEMO, "--home", home)
        before = look(home)
        environment.delenv("MLFLOW_TRACKING_URI", raising=False)
        with open_deployment(Settings.load(home=home, backup_url=str(backups))) as deployment:
            deployment.materialize(["store_backup"])
            (backup_run,) = deployment.instance.get_runs(limit=1)
        assert left_behind(home) == []
        shutil.rmtree(home)
        told = run(home, "restore", backups)
        assert left_behind(home) == []
        yield Restored(home, before, look(home), backups, backup_run.run_id, told)
        release_metadata(Settings.load(home=home))


def test_the_tables_the_report_and_the_registry_are_those_of_before(restored: Restored) -> None:
    before, after = restored.before, restored.after
    require_same_tables(after.tables, before.tables)
    assert after.report == before.report
    assert before.report["champion"]["algorithm"] == "ridge"
    assert after.versions == before.versions
    assert after.champion == before.champion
    assert "bookkeeping of dagster and mlflow" in restored.told


def test_the_service_serves_the_same_champion(restored: Restored) -> None:
    assert restored.after.reply == restored.before.reply
    assert restored.before.reply["model"]["algorithm"] == "ridge"


def test_dagster_knows_what_is_materialized_and_that_nothing_goes_on(restored: Restored) -> None:
    before, after = restored.before, restored.after
    assert after.materialized == before.materialized
    assert all(before.materialized.values())
    assert {run: status for run, status in after.runs.items() if run != restored.backup_run} == before.runs
    assert after.runs[restored.backup_run] == dg.DagsterRunStatus.CANCELED.value, "it went on when it was made"


def test_it_goes_on_in_another_home_too(restored: Restored, tmp_path: Path) -> None:
    other = tmp_path / "another"
    run(other, "restore", restored.backups)
    assert json.loads(run(other, "report", "--json")) == restored.before.report
    settings = Settings.load(home=other)
    try:
        registry = open_registry(settings)
        model = registry.download(registry.champion("ALL"), tmp_path / "model")
        assert (model / "cryptobot.json").is_file()
        assert str(other) in registry.champion("ALL").source_uri + registry.versions("ALL")[0].source_uri
    finally:
        release_metadata(settings)


def test_a_home_in_use_is_not_restored_over(restored: Restored) -> None:
    settings = Settings.load(home=restored.home)
    urls = metadata_urls(settings)
    with open_deployment(settings):
        command = start(restored.home, "restore", restored.backups, "--replace")
        code, _, err = command.finish()
    assert urls and code == 1
    assert "is in use: stop `cryptobot up` first" in err
    refused = start(restored.home, "restore", restored.backups).finish()
    assert refused[0] == 2
    assert "its bookkeeping holds work of dagster and mlflow: --replace" in refused[2]

"""A whole small platform, backed up by Dagster, destroyed, restored, and found as it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.deployment import Deployment, open_deployment
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.errors import StoreError
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.partitions import model_key
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup import backup_place
from cryptobot_assets.storage.backup_manifest import backup_names, read_manifest
from cryptobot_assets.storage.backup_restore import Restore
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.metadata import release_metadata
from cryptobot_assets.storage.store import INDICATORS, KLINES
from cryptobot_assets_tests.platform.commands import SETTINGS, left_behind, read_tables, require_same_tables, run
from cryptobot_assets_tests.storage.backups import unwatched

pytestmark = [pytest.mark.platform, pytest.mark.timeout(1200)]

CURRENCIES = ("BTCUSDT", "ETHUSDT")
CUTOFF = START + 50 * DAY
ASSETS = ("indicators", "ridge_model", "store_backup")
UNPROVEN = {"promote": False, "reasons": ["too few days"]}


@dataclass(frozen=True)
class Known:
    """What people see of a platform."""

    tables: dict[str, pl.DataFrame]
    materialized: dict[str, set[str]]
    runs: dict[str, str]
    versions: list[tuple]
    champion: tuple
    predictions: list[float]


@dataclass(frozen=True)
class Restored:
    """A home before it was destroyed, after it was restored, and where the backups are."""

    home: Path
    before: Known
    after: Known
    backups: Path
    backup_run: str
    told: str

    def restore(self, home: Path) -> Restore:
        """The backup, about to be restored into a home."""
        settings = Settings.load(home=home, backup_url=str(self.backups))
        place = backup_place(settings)
        return Restore(place, read_manifest(place, backup_names(place)[-1]), settings)


@contextmanager
def own_environment() -> Iterator[None]:
    """Without settings of anybody's; what a deployment sets is gone afterwards."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith(SETTINGS)]:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def opened(home: Path, **settings: object) -> Iterator[Deployment]:
    chosen = {"interval": "1h", "currencies": ",".join(CURRENCIES), "start_day": date(2024, 1, 1), "trials": 1}
    more = {"folds": 1, "second_look_rows": 0}
    with own_environment(), open_deployment(Settings.load(home=home, **chosen, **more, **settings)) as deployment:
        yield deployment


def fill(home: Path) -> None:
    """Indicators, a model of them, and a champion, through Dagster."""
    klines = pl.concat([make_klines(52 * 24, currency=name, seed=n) for n, name in enumerate(CURRENCIES)])
    Lake(str(home / "lake")).replace(KLINES, klines, start=None, end=None)
    with opened(home) as deployment:
        keys = deployment.partitions.span_keys(START.date(), CUTOFF.date())
        deployment.materialize(["indicators"], key_range=(f"BTCUSDT|{keys[0]}", f"ETHUSDT|{keys[-1]}"))
        deployment.materialize(["ridge_model"], key=model_key("ALL", CUTOFF))
        registry = open_registry(deployment.settings)
        registry.promote(registry.versions("ALL", "ridge")[0], alias="champion", verdict=UNPROVEN)


def look(home: Path, folder: Path) -> Known:
    """Look at everything, through what people use."""
    with opened(home) as deployment:
        registry = open_registry(deployment.settings)
        champion = registry.champion("ALL")
        scorer = warm_up(load_scorer(registry.download(champion, folder)))
        return Known(
            tables=read_tables(home),
            materialized={name: deployment.materialized(name) for name in ASSETS},
            runs={one.run_id: one.status.value for one in deployment.instance.get_runs()},
            versions=[(one.name, one.version, one.cutoff, one.run_id, one.tags) for one in registry.versions("ALL")],
            champion=(champion.name, champion.version, champion.source_version, champion.promotions),
            predictions=scorer.predict(scorer.card.warmup_rows).tolist(),
        )


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    folder = tmp_path_factory.mktemp("platform")
    home, backups = folder / "home", folder / "backups"
    fill(home)
    before = look(home, folder / "model")
    with opened(home, backup_url=str(backups)) as deployment:
        deployment.materialize(["store_backup"])
        (backup_run,) = deployment.instance.get_runs(limit=1)
    assert left_behind(home) == []
    shutil.rmtree(home)
    told = run(home, "restore", backups)
    assert left_behind(home) == []
    return Restored(home, before, look(home, folder / "again"), backups, backup_run.run_id, told)


def test_tables_registry_and_what_is_materialized_are_those_of_before(restored: Restored) -> None:
    before, after = restored.before, restored.after
    require_same_tables(after.tables, before.tables)
    assert before.tables["indicators"].height > 2_000
    assert "bookkeeping of dagster and mlflow" in restored.told
    for part in ("versions", "champion", "predictions", "materialized"):
        assert getattr(after, part) == getattr(before, part), part
    assert before.materialized["ridge_model"] and before.materialized["indicators"]


def test_nothing_goes_on_that_went_on_when_the_backup_was_made(restored: Restored) -> None:
    after = dict(restored.after.runs)
    assert after.pop(restored.backup_run) == dg.DagsterRunStatus.CANCELED.value
    assert after == restored.before.runs


def test_a_restored_model_can_be_trained_again_on_the_restored_rows_of_then(restored: Restored) -> None:
    lake = Lake(str(restored.home / "lake"))
    lake.replace(INDICATORS, lake.read(INDICATORS).head(100), start=None, end=None)
    said = run(restored.home, "retrain", "cryptobot-ALL", "1")
    assert "models:/cryptobot-ALL/1 came out the same: " in said and said.strip().endswith("predictions, bit for bit")


def test_it_goes_on_in_another_home_too(restored: Restored, tmp_path: Path) -> None:
    other = tmp_path / "another"
    with own_environment():
        restore = restored.restore(other)
        restore.run(unwatched)
        try:
            registry = open_registry(restore.settings)
            champion = registry.champion("ALL")
            assert (registry.download(champion, tmp_path / "model") / "cryptobot.json").is_file()
            assert str(other) in registry.versions("ALL")[0].source_uri
        finally:
            release_metadata(restore.settings)


def test_a_home_in_use_is_not_restored_over(restored: Restored) -> None:
    with opened(restored.home) as deployment:
        assert deployment.instance.get_runs(limit=1)
        restore = restored.restore(restored.home)
        assert any("its bookkeeping holds work of dagster and mlflow" in part for part in restore.occupied())
        with pytest.raises(StoreError, match="is in use: stop `cryptobot up` first"):
            restore.run(unwatched)
        assert deployment.instance.get_runs(limit=1)

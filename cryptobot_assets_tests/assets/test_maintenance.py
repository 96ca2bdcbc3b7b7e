"""The upkeep of a store as Dagster runs it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.assets.maintenance import maintenance_assets
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.errors import RegistryError
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.progress import Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup import backup_place
from cryptobot_assets.storage.backup_manifest import backup_names
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import INDICATORS, TABLES, Store
from cryptobot_assets_tests.conftest import MakeDatabase

HOURS_A_COMMIT = timedelta(hours=4)


@pytest.fixture
def store(tmp_path: Path) -> Lake:
    """A lake of small files."""
    lake = Lake(str(tmp_path / "lake"))
    for piece in make_rows(INDICATORS).iter_slices(4):
        lake.replace(INDICATORS, piece, start=piece["time"][0], end=piece["time"][0] + HOURS_A_COMMIT)
    return lake


def materialize(name: str, home: Path, **resources: object) -> dict[str, object]:
    """Materialize one of the assets; its metadata."""
    assets = maintenance_assets(Partitions(Settings.load(home=home)))
    done = dg.materialize(assets, selection=name, resources=resources)
    (event,) = done.asset_materializations_for_node(name)
    return {name: value.value for name, value in event.metadata.items()}


def maintain(home: Path, store: Store, registry: Registry) -> dict[str, object]:
    return materialize("store_maintenance", home, store=store, registry=registry, progress=Silent())


def test_the_rows_stay_and_the_figures_are_told(tmp_path: Path, store: Lake, mlflow_database: MakeDatabase) -> None:
    told = maintain(tmp_path, store, Registry(mlflow_database(tmp_path / "mlflow.db"), tmp_path / "mlflow"))
    assert (told["indicators/files_before"], told["indicators/files_after"]) == (12, 1)
    assert {name.split("/")[0] for name in told} == {"indicators"}
    assert_frame_equal(store.read(INDICATORS), make_rows(INDICATORS))
    assert all(store.read(table).is_empty() for table in TABLES.values() if table is not INDICATORS)


def test_without_the_registry_nothing_is_deleted(tmp_path: Path, store: Lake) -> None:
    before = store.version(INDICATORS)
    with pytest.raises(RegistryError, match="nothing answers"):
        maintain(tmp_path, store, Registry("http://127.0.0.1:9"))
    assert store.version(INDICATORS) == before


def test_a_backup_is_made_and_told_of_and_the_oldest_go(
    tmp_path: Path, store: Lake, monkeypatch: pytest.MonkeyPatch, mlflow_database: MakeDatabase
) -> None:
    monkeypatch.setenv("CRYPTOBOT_BACKUPS_KEPT", "2")
    registry = Registry(mlflow_database(tmp_path / "mlflow.db"), tmp_path / "mlflow")
    told = [materialize("store_backup", tmp_path, store=store, registry=registry, progress=Silent()) for _ in range(3)]
    place = backup_place(Settings.load(home=tmp_path))
    assert backup_names(place) == [told[1]["backup"], told[2]["backup"]]
    assert [one["forgotten"] for one in told] == [[], [], [told[0]["backup"]]]
    assert [one["indicators/rows"] for one in told] == [48] * 3
    assert told[0]["new_bytes"] > 0
    assert told[0]["place"] == str(tmp_path / "backups")
    assert "bookkeeping" in told[0]["left_out"][0]

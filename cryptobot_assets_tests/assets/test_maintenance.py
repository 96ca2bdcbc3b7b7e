"""The upkeep of a store as Dagster runs it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.assets.maintenance import maintenance_assets
from cryptobot_assets.errors import RegistryError
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import INDICATORS, TABLES, Store
from cryptobot_assets_tests.contracts.store_contract import make_rows

HOURS_A_COMMIT = timedelta(hours=4)


@pytest.fixture
def store(tmp_path: Path) -> Lake:
    """A lake of small files."""
    lake = Lake(str(tmp_path / "lake"))
    for piece in make_rows(INDICATORS).iter_slices(4):
        lake.replace(INDICATORS, piece, start=piece["time"][0], end=piece["time"][0] + HOURS_A_COMMIT)
    return lake


def maintain(home: Path, store: Store, registry: Registry) -> dict[str, object]:
    """Materialize the asset; its metadata."""
    (asset,) = maintenance_assets(Partitions(Settings.load(home=home)))
    done = dg.materialize([asset], resources={"store": store, "registry": registry})
    (event,) = done.asset_materializations_for_node("store_maintenance")
    return {name: value.value for name, value in event.metadata.items()}


def test_the_rows_stay_and_the_figures_are_told(tmp_path: Path, store: Lake) -> None:
    told = maintain(tmp_path, store, Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlflow"))
    assert (told["indicators/files_before"], told["indicators/files_after"]) == (12, 1)
    assert {name.split("/")[0] for name in told} == {"indicators"}
    assert_frame_equal(store.read(INDICATORS), make_rows(INDICATORS))
    assert all(store.read(table).is_empty() for table in TABLES.values() if table is not INDICATORS)


def test_without_the_registry_nothing_is_deleted(tmp_path: Path, store: Lake) -> None:
    before = store.version(INDICATORS)
    with pytest.raises(RegistryError, match="nothing answers"):
        maintain(tmp_path, store, Registry("http://127.0.0.1:9"))
    assert store.version(INDICATORS) == before

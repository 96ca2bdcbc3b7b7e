"""How much of each partition is accounted for, by klines and by gaps of the exchange's own."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from cryptobot_assets.contracts.factories import hours_after, make_klines
from cryptobot_assets.domain.gap_grid import Kind
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, KLINES, Store
from cryptobot_assets.wholeness import known_instants, stored_instants

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")
NAMES = ("BTCUSDT", "ETHUSDT")
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two days of one currency, all but eight hours across midnight."""
    lake = Lake(str(tmp_path / "lake"))
    rows = make_klines(48, gaps=[(hours_after(20), hours_after(28))])
    lake.replace(KLINES, rows, start=None, end=None, currency="BTCUSDT")
    return lake


def make_partitions(home: Path, partition: str = "day") -> Partitions:
    chosen = {"interval": "1h", "partition": partition, "start_day": "2023-12-01"}
    return Partitions(Settings.load(home=home, currencies=",".join(NAMES), **chosen))


def record(store: Store, first: datetime, end: datetime, kind: Kind, *, currency: str = "BTCUSDT") -> None:
    hours = int((end - first).total_seconds()) // 3600
    row = pl.DataFrame([(currency, first, end, hours, kind.text)], schema=GAPS.schema, orient="row")
    store.replace(GAPS, row, start=None, end=None, currency=currency)


def test_what_is_neither_stored_nor_recorded_is_not_known(store: Store, tmp_path: Path):
    partitions = make_partitions(tmp_path)
    assert known_instants(store, partitions, NAMES, DAYS) == {"BTCUSDT|2024-01-01": 20, "BTCUSDT|2024-01-02": 20}
    assert stored_instants(store, KLINES, partitions, NAMES, DAYS[1:2]) == {"BTCUSDT|2024-01-02": 20}
    assert stored_instants(store, KLINES, partitions, ["ETHUSDT"], DAYS) == {}
    assert known_instants(store, partitions, NAMES, []) == stored_instants(store, KLINES, partitions, NAMES, []) == {}


@pytest.mark.parametrize("kind", [Kind.UNCLASSED, Kind.OUTAGE, Kind.HALT])
def test_a_gap_counts_for_each_day_that_it_touches(store: Store, tmp_path: Path, kind: Kind):
    record(store, hours_after(20), hours_after(28), kind)
    known = known_instants(store, make_partitions(tmp_path), NAMES, DAYS)
    assert known == {"BTCUSDT|2024-01-01": 24, "BTCUSDT|2024-01-02": 24}


def test_what_is_missing_on_our_side_is_not_known(store: Store, tmp_path: Path):
    record(store, hours_after(20), hours_after(28), Kind.MISSING)
    assert known_instants(store, make_partitions(tmp_path), NAMES, DAYS)["BTCUSDT|2024-01-01"] == 20


def test_months_before_a_listing_are_known_to_hold_nothing(store: Store, tmp_path: Path):
    record(store, hours_after(-31 * 24), hours_after(31 * 24), Kind.NOT_LISTED, currency="ETHUSDT")
    months = ["2023-12-01", "2024-01-01", "2024-02-01"]
    known = known_instants(store, make_partitions(tmp_path, "month"), NAMES, months)
    assert known == {"BTCUSDT|2024-01-01": 40, "ETHUSDT|2023-12-01": 744, "ETHUSDT|2024-01-01": 744}
    only = known_instants(store, make_partitions(tmp_path, "month"), NAMES, months[1:2])
    assert only == {"BTCUSDT|2024-01-01": 40, "ETHUSDT|2024-01-01": 744}

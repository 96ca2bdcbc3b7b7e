"""The lake: the store contract, and what is particular to Delta tables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from polars.testing import assert_frame_equal

from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, KLINES, TABLES, open_store
from cryptobot_assets_tests.contracts.store_contract import (
    BROKEN,
    END,
    StoreContract,
    make_rows,
    priced,
    spoil,
)
from cryptobot_assets_tests.factories import START


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


class TestLake(StoreContract):
    opener = Lake


def test_rules_hold_for_whoever_writes_to_the_files(address: str):
    lake = Lake(address)
    for table in TABLES.values():
        lake.replace(table, make_rows(table), start=None, end=None)
    for table, values in BROKEN:
        with pytest.raises(DeltaError):
            write_deltalake(f"{address}/{table.name}", spoil(make_rows(table, seed=1), values), mode="append")
    assert all(lake.read(table).height == 48 for table in TABLES.values())


def test_rules_a_killed_maker_left_out_are_added_before_the_next_write(address: str):
    lake = Lake(address)
    lake._create(KLINES)
    assert not DeltaTable(f"{address}/klines").metadata().configuration
    with pytest.raises(StoreError, match="low_is_positive"):
        Lake(address).replace(KLINES, spoil(priced(1.0), {"low": -1.0}), start=None, end=None)
    held = DeltaTable(f"{address}/klines").metadata().configuration
    assert {name.removeprefix("delta.constraints.") for name in held} == set(KLINES.rules)


def test_a_table_of_an_earlier_version_is_read_and_gets_its_new_columns_with_the_next_write(address: str):
    rows = make_rows(GAPS)
    write_deltalake(f"{address}/gaps", rows.drop("kind"))
    unexplained = rows.with_columns(kind=pl.lit(None, pl.String))
    assert_frame_equal(Lake(address).read(GAPS), unexplained)
    Lake(address).replace(GAPS, rows.head(1), start=START, end=START + timedelta(minutes=30), currency="BTCUSDT")
    assert_frame_equal(Lake(address).read(GAPS), pl.concat([rows.head(1), unexplained.slice(1)]))


def test_a_version_can_be_read_again(address: str):
    lake = Lake(address)
    lake.replace(KLINES, priced(1.0), start=START, end=END, currency="BTCUSDT")
    version = lake.version(KLINES)
    lake.replace(KLINES, priced(2.0), start=START, end=END, currency="BTCUSDT")
    then = pl.read_delta(f"{address}/klines", version=int(version)).sort("time")
    assert_frame_equal(then.select(list(KLINES.schema)), priced(1.0))


def test_compaction_keeps_the_rows_in_fewer_files(address: str):
    lake = Lake(address)
    rows = make_rows(KLINES)
    for hour in range(6):
        piece = rows.slice(hour * 8, 8)
        lake.replace(KLINES, piece, start=piece["time"][0], end=piece["time"][-1] + (END - START) / 48)
    before = len(DeltaTable(f"{address}/klines").file_uris())
    lake.compact(KLINES)
    assert len(DeltaTable(f"{address}/klines").file_uris()) == 1 < before
    assert_frame_equal(lake.read(KLINES), rows)
    Lake(f"{address}-empty").compact(KLINES)


def test_a_place_that_cannot_hold_a_lake_is_one_clear_line(tmp_path: Path):
    taken = tmp_path / "file"
    taken.write_text("here")
    with pytest.raises(StoreError) as refusal:
        Lake(str(taken)).replace(KLINES, priced(1.0), start=None, end=None)
    assert str(taken) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_table_whose_log_is_broken_is_one_clear_line(address: str):
    Lake(address).replace(KLINES, priced(1.0), start=None, end=None)
    for part in Path(address, "klines", "_delta_log").glob("*.json"):
        part.write_text("{")
    with pytest.raises(StoreError, match="cannot read the store at") as refusal:
        Lake(address).read(KLINES)
    assert "\n" not in str(refusal.value)


def test_the_settings_name_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CRYPTOBOT_HOME", str(tmp_path))
    store = open_store(Settings.load())
    store.replace(KLINES, priced(1.0), start=None, end=None)
    assert Lake(str(tmp_path / "lake")).read(KLINES).height == 48
    with pytest.raises(UsageError, match="CRYPTOBOT_STORE_URL"):
        open_store(Settings.load(store_url="mysql://host/db"))


def test_two_makers_of_one_table_both_get_to_write(address: str, monkeypatch: pytest.MonkeyPatch):
    """The second saw the table before the first gave it its rules."""
    first, second = Lake(address), Lake(address)
    first._create(KLINES)
    seen = iter([DeltaTable(f"{address}/klines")])
    first.replace(KLINES, priced(1.0), start=START, end=END, currency="BTCUSDT")
    existing = second._existing
    monkeypatch.setattr(second, "_existing", lambda table: next(seen, None) or existing(table))
    second.replace(KLINES, priced(2.0), start=START, end=END, currency="BTCUSDT")
    assert_frame_equal(first.read(KLINES), priced(2.0))

"""The lake: the store contract, and what is particular to Delta tables."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.contracts.stores import StoreContract
from cryptobot_assets.contracts.table_rows import BROKEN, END, make_rows, priced, spoil
from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, KLINES, TABLES, open_store

HISTORY = timedelta(days=30)


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


def rules_of(address: str) -> set[str]:
    """Names of the rules that Delta's table of klines holds."""
    held, prefix = DeltaTable(f"{address}/klines").metadata().configuration, "delta.constraints."
    return {name.removeprefix(prefix) for name in held if name.startswith(prefix)}


def test_rules_a_killed_maker_left_out_are_added_before_the_next_write(address: str):
    lake = Lake(address)
    lake._create(KLINES)
    assert not rules_of(address)
    with pytest.raises(StoreError, match="low_is_positive"):
        Lake(address).replace(KLINES, spoil(priced(1.0), {"low": -1.0}), start=None, end=None)
    assert rules_of(address) == set(KLINES.rules)


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


def fill_by_pieces(lake: Lake, pieces: int = 8) -> pl.DataFrame:
    """48 hours of klines in as many commits and files; returns them."""
    rows, hours = make_rows(KLINES), 48 // pieces
    for piece in rows.iter_slices(hours):
        lake.replace(KLINES, piece, start=piece["time"][0], end=piece["time"][0] + timedelta(hours=hours))
    return rows


def grow_older(address: str, days: int) -> None:
    """Have all that was ever written to a table of the lake be so many days old."""
    then = time.time() - days * 86_400
    for log in Path(address, "klines", "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for removed in (action["remove"] for action in actions if "remove" in action):
            removed["deletionTimestamp"] -= days * 86_400_000
        log.write_text("".join(json.dumps(action) + "\n" for action in actions))
    for path in Path(address, "klines").rglob("*.*"):
        os.utime(path, (then, then))


def version_of(address: str, version: int) -> pl.DataFrame:
    """A table as it was."""
    return pl.read_delta(f"{address}/klines", version=version).select(list(KLINES.schema)).sort("time")


def test_upkeep_merges_small_files_where_there_are_many(address: str):
    lake = Lake(address)
    rows = fill_by_pieces(lake, 6)
    assert lake.maintain(KLINES, history=HISTORY)["files_after"] == 6
    lake.replace(KLINES, rows.head(0), start=None, end=None)
    fill_by_pieces(lake, 8)
    done = lake.maintain(KLINES, history=HISTORY)
    assert (done["files_before"], done["files_after"], done["partitions_merged"]) == (8, 1, 1)
    assert_frame_equal(lake.read(KLINES), rows)
    assert Lake(f"{address}-empty").maintain(KLINES, history=HISTORY) == {}


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize(("days", "kept"), [(20, True), (40, False)])
def test_upkeep_deletes_what_only_versions_older_than_the_history_need(
    address: str, days: int, kept: bool, checkpoint: bool
):
    lake = Lake(address)
    for price in (1.0, 2.0, 3.0):
        lake.replace(KLINES, priced(price), start=START, end=END)
    (first, second, _) = range(int(lake.version(KLINES)) - 2, int(lake.version(KLINES)) + 1)
    grow_older(address, days)
    if checkpoint:
        DeltaTable(f"{address}/klines").create_checkpoint()
    unfinished = Path(address, "klines", "currency=BTCUSDT", "part-unfinished.parquet")
    unfinished.write_bytes(b"a writer is at it")
    done = Lake(address).maintain(KLINES, history=HISTORY, keep={str(second), "99"})
    assert (done["old_files_deleted"], done["versions_kept_for_models"]) == (0 if kept else 1, 1)
    assert_frame_equal(version_of(address, second), priced(2.0))
    assert_frame_equal(lake.read(KLINES), priced(3.0))
    assert unfinished.exists()
    if kept:
        assert_frame_equal(version_of(address, first), priced(1.0))
    else:
        with pytest.raises(OSError, match=r"not found|No such file"):
            version_of(address, first)


def test_a_version_named_by_a_model_outlives_a_month_of_commits(address: str):
    """By default Delta forgets commits older than 30 days with the next checkpoint, one in 100 commits."""
    lake = Lake(address)
    lake.replace(KLINES, priced(1.0), start=START, end=END)
    named = lake.version(KLINES)
    lake.replace(KLINES, priced(2.0), start=START, end=END)
    grow_older(address, 400)
    table = DeltaTable(f"{address}/klines")
    table.create_checkpoint()
    table.cleanup_metadata()
    Lake(address).maintain(KLINES, history=HISTORY, keep={named})
    assert_frame_equal(version_of(address, int(named)), priced(1.0))


def test_a_table_of_an_earlier_version_gets_the_longer_memory_with_its_upkeep(address: str):
    write_deltalake(f"{address}/klines", priced(1.0), partition_by=["currency"])
    Lake(address).maintain(KLINES, history=timedelta(days=60))
    held = DeltaTable(f"{address}/klines").metadata().configuration
    assert held["delta.logRetentionDuration"] == "interval 3650 days"
    assert held["delta.deletedFileRetentionDuration"] == "interval 60 days"


def test_files_keep_numbers_as_they_are_and_names_in_a_dictionary(address: str):
    lake = Lake(address)
    rows = priced(1.0)
    for hour in range(0, 48, 6):
        first, end = hours_after(hour), hours_after(hour + 6)
        lake.replace(KLINES, rows.slice(hour, 6), start=first, end=end, currency="BTCUSDT")
    assert lake.maintain(KLINES, history=timedelta(days=1))["files_after"] == 1
    for path in Path(address, "klines").rglob("*.parquet"):
        columns = pq.ParquetFile(path).metadata.row_group(0)
        encodings = {one.path_in_schema: one.encodings for one in map(columns.column, range(columns.num_columns))}
        assert "DELTA_BINARY_PACKED" in encodings["time"]
        assert not any("DICTIONARY" in one for one in encodings["close"])
        assert any("DICTIONARY" in one for one in encodings["source"])


def test_files_are_cut_into_groups_of_rows_that_a_reader_may_skip(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cryptobot_assets.storage.lake_files.ROWS", 20)
    Lake(address).replace(KLINES, priced(1.0), start=None, end=None, currency="BTCUSDT")
    (path,) = Path(address, "klines").rglob("*.parquet")
    assert pq.ParquetFile(path).num_row_groups == -(-priced(1.0).height // 20)


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

"""A full disk: one clear line, the old rows stay, and once there is room the same write gives the same rows.

A limit on the size of files stands in for the full disk, since it needs no rights: the system refuses
to write a byte more, as it does without space. On the way the lake's files do not grow beyond it.
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import create_engine, text

from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.errors import ProcessError, StoreError
from cryptobot_assets.home import require_writable_home
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.metadata import metadata_faults_told
from cryptobot_assets.storage.postgres import PostgresStore
from cryptobot_assets.storage.store import GAPS, KLINES, Store
from cryptobot_assets_tests.storage.postgres_server import make_database, run, url_of

pytestmark = pytest.mark.platform

SPAWN = multiprocessing.get_context("spawn")
WAL_FILE_BYTES = 2**24
"""PostgreSQL writes its log in files of this size: none may be forbidden."""

FEW, MANY = 500, 30_000
FILLER = """
    INSERT INTO klines SELECT 'FILLUSDT', timestamptz '2000-01-01 00:00+00' + n * interval '1 minute',
        1, 1, 1, 1, 1, 1, 1, 'rest' FROM generate_series(1, 130000) n
"""
"""Rows that leave little room in the table's file."""


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let this process write no byte beyond this place of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write(store: Store, rows: pl.DataFrame) -> None:
    """In place of everything there is of the currency."""
    store.replace(KLINES, rows, start=START, end=rows["time"][-1] + timedelta(hours=1), currency="BTCUSDT")


def refusal(store: Store, rows: pl.DataFrame) -> str:
    """What a write says that cannot succeed."""
    with pytest.raises(StoreError) as refused:
        write(store, rows)
    return str(refused.value)


def test_a_lake_on_a_full_disk_keeps_its_rows(tmp_path: Path):
    lake, old, new = Lake(str(tmp_path / "lake")), make_klines(FEW), make_klines(10 * FEW, seed=1)
    write(lake, old)
    for _ in range(2):
        with no_file_above(50_000):
            told = refusal(lake, new)
        assert told.startswith(f"no room in the store at {tmp_path}/lake: ") and "\n" not in told
        assert told.endswith("; free some and run it again")
        assert_frame_equal(lake.read(KLINES), old)
        assert_frame_equal(Lake(str(tmp_path / "lake")).read(KLINES), old)
    write(lake, new)
    assert_frame_equal(lake.read(KLINES), new)


def test_a_lake_without_room_for_its_log_keeps_its_rows(tmp_path: Path):
    lake, old = Lake(str(tmp_path / "lake")), make_klines(FEW)
    write(lake, old)
    with no_file_above(200), pytest.raises(StoreError, match="no room in the store"):
        lake.replace(KLINES, old.clear(), start=START, end=None, currency="BTCUSDT")
    assert_frame_equal(lake.read(KLINES), old)


def test_a_table_that_could_not_be_made_is_made_later(tmp_path: Path):
    lake, rows = Lake(str(tmp_path / "lake")), make_klines(FEW)
    for size in (200, 3000):
        with no_file_above(size):
            assert "no room in the store" in refusal(lake, rows)
    write(lake, rows)
    assert_frame_equal(lake.read(KLINES), rows)
    assert lake.read(GAPS).is_empty()


def test_what_does_not_fit_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lake, rows = Lake(str(tmp_path / "lake")), make_klines(FEW)
    write(lake, rows)
    files = sorted(tmp_path.rglob("*"))
    free = shutil.disk_usage(tmp_path)._replace(free=rows.estimated_size())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    assert refusal(lake, rows).endswith("no space left on device; free some and run it again")
    assert sorted(tmp_path.rglob("*")) == files


def fill_a_full_server(directory: Path) -> None:
    """Write on a server that may not let a file grow; runs in a process of its own."""
    old, new = make_klines(FEW), make_klines(MANY, seed=1)
    with no_file_above(WAL_FILE_BYTES), EmbeddedPostgres(directory) as server:
        address = make_database(server)
        store = PostgresStore(address)
        write(store, old)
        run(address, FILLER)
        told = refusal(store, new)
        assert told.startswith("table klines: no room in the store at ") and "could not extend file" in told, told
        assert "\n" not in told
        assert_frame_equal(store.read(KLINES, currency="BTCUSDT"), old)
        store.close()
        others = create_engine(address.replace("postgresql:", "postgresql+psycopg2:"))
        settings = Settings.load(home=directory.parent)
        with pytest.raises(StoreError) as refused, metadata_faults_told(settings), others.begin() as connection:
            connection.execute(text(FILLER.replace("2000", "2010")))
        assert "could not extend file" in str(refused.value)
        assert f"the metadata server at {directory} fails" in str(refused.value) and "\n" not in str(refused.value)


def test_a_database_on_a_full_disk_keeps_its_rows(tmp_path: Path):
    process = SPAWN.Process(target=fill_a_full_server, args=(tmp_path / "postgres",))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        store, new = PostgresStore(url_of(server, "store_1")), make_klines(MANY, seed=1)
        assert_frame_equal(store.read(KLINES, currency="BTCUSDT"), make_klines(FEW))
        write(store, new)
        assert_frame_equal(store.read(KLINES, currency="BTCUSDT"), new)
        store.close()


def test_a_database_is_not_started_where_its_log_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    free = shutil.disk_usage(tmp_path)._replace(free=31 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(ProcessError, match=r"no room for PostgreSQL in .*: 31 MB free, it needs 32; free some"):
        EmbeddedPostgres(tmp_path / "postgres").acquire()


def test_a_home_on_a_full_disk_is_one_clear_line(tmp_path: Path):
    with no_file_above(0), pytest.raises(StoreError, match=r"^no room in the home .*; free some and run it again$"):
        require_writable_home(tmp_path / "home")

"""`cryptobot copy`: from a lake into PostgreSQL and back, cut short, run again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START, hours_after, make_klines
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.progress import Silent
from cryptobot_assets.storage.copying import BLOCK, copy_block, copy_blocks, copy_store
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.postgres import PostgresStore
from cryptobot_assets.storage.store import INDICATORS, KLINES, PREDICTIONS, TABLES, Store
from cryptobot_assets_tests.cli.conftest import Run
from cryptobot_assets_tests.storage.postgres_server import make_database

HOURS = 24 * 200
"""More than one block."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "postgres") as server:
        yield server


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """A lake with two currencies in every table, one of them long."""
    store = Lake(str(tmp_path / "lake"))
    for table in TABLES.values():
        for number, currency in enumerate(("BTCUSDT", "ETHUSDT")):
            rows = make_rows(table, currency=currency, seed=number)
            store.replace(table, rows, start=None, end=None, currency=currency)
    store.replace(KLINES, make_klines(HOURS), start=None, end=None, currency="BTCUSDT")
    return str(tmp_path / "lake")


def assert_same(one: Store, other: Store) -> None:
    for table in TABLES.values():
        assert_frame_equal(one.read(table), other.read(table), check_exact=True)


@pytest.mark.platform
def test_a_lake_goes_into_postgresql_and_back(run: Run, lake: str, server: EmbeddedPostgres, tmp_path: Path) -> None:
    database, back = make_database(server), str(tmp_path / "back")
    for source, target in ((lake, database), (lake, database), (database, back)):
        outcome = run("copy", source, target)
        assert outcome.code == 0, outcome
        assert f"{HOURS + 48:,} klines, 96 indicators, 96 predictions, 96 gaps, 96 coverage" in outcome.out
    assert_same(Lake(lake), PostgresStore(database))
    assert_same(Lake(lake), Lake(back))
    assert PostgresStore(database).version(PREDICTIONS) == "2"


def test_a_copy_cut_short_goes_on_and_what_else_is_there_stays(lake: str, tmp_path: Path) -> None:
    source, target = Lake(lake), Lake(str(tmp_path / "target"))
    other = make_rows(KLINES, currency="XRPUSDT")
    target.replace(KLINES, other, start=None, end=None, currency="XRPUSDT")
    target.replace(KLINES, make_klines(5, seed=9), start=None, end=None, currency="BTCUSDT")
    for block in copy_blocks(source)[:2]:
        copy_block(source, target, block)
    for _ in range(2):
        copy_store(source, target, Silent())
        for table in (INDICATORS, PREDICTIONS):
            assert_frame_equal(target.read(table), source.read(table))
        assert_frame_equal(target.read(KLINES, currency=["BTCUSDT", "ETHUSDT"]), source.read(KLINES))
        assert_frame_equal(target.read(KLINES, currency="XRPUSDT"), other)


def test_blocks_hold_every_row_once(lake: str) -> None:
    blocks = [block for block in copy_blocks(Lake(lake)) if (block.table, block.currency) == (KLINES, "BTCUSDT")]
    assert [block.start for block in blocks] == [START, START + BLOCK]
    assert blocks[0].end == blocks[1].start
    assert blocks[-1].end == hours_after(HOURS - 1) + timedelta(microseconds=1)
    assert BLOCK > DAY


def test_a_store_with_nothing_in_it_is_no_source(run: Run, tmp_path: Path) -> None:
    refusal = run("copy", tmp_path / "typo", tmp_path / "target").require_refusal(1)
    assert refusal == f"nothing is stored at {tmp_path / 'typo'}"
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("lake", "lake/", "are one store"),
        ("lake", "mysql://host/db", "mysql:// is not available"),
        ("lake", "postgresql://u:s3cret@db.example.com/c?sslmode=disable", "another machine: use sslmode=require"),
    ],
)
def test_addresses_that_cannot_be(run: Run, source: str, target: str, words: str) -> None:
    refusal = run("copy", source, target).require_refusal(2)
    assert words in refusal
    assert "s3cret" not in refusal

"""`cryptobot backfill` disturbed from outside: whatever happens, running it again ends in the rows of one run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psycopg2
import pytest

from cryptobot_assets.exchange.market import to_ms
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.postgres import PostgresStore
from cryptobot_assets.storage.store import KLINES
from cryptobot_assets_tests.faults.kills import (
    MARKET,
    Wanted,
    backfill,
    batter,
    everything,
    served_market,
    start_backfill,
)
from cryptobot_assets_tests.faults.served import ServedExchange
from cryptobot_assets_tests.platform.commands import (
    Command,
    left_behind,
    read_tables,
    require_same_tables,
    tables_of,
)
from cryptobot_assets_tests.storage.postgres_server import make_database

pytestmark = [pytest.mark.platform, pytest.mark.timeout(600)]

Tables = dict[str, pl.DataFrame]
EARLY = Wanted(("BTCUSDT", "ETHUSDT"), "2024-12-29", "2025-01-02")
LATE = Wanted(("ETHUSDT", "BTCUSDT"), "2025-01-01", "2025-01-07")


@pytest.fixture(scope="module")
def served() -> Iterator[ServedExchange]:
    with served_market() as served:
        yield served


@pytest.fixture(scope="module")
def undisturbed(served: ServedExchange, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """What an undisturbed run stores: every kline of the market, with its indicators."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    backfill(home, served, everything())
    tables = read_tables(home)
    finished = to_ms(MARKET.finished(MARKET.end))
    assert tables["klines"].height == sum((MARKET.times(name) < finished).sum() for name in MARKET.currencies)
    assert tables["indicators"].height == tables["klines"].height
    return tables


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose backfills do not come to their end."""
    return tmp_path_factory.mktemp("disturbed") / "home"


def test_an_exchange_away_for_longer_than_anybody_waits_is_one_clear_line(served: ServedExchange, home: Path):
    only_rest = {"CRYPTOBOT_ARCHIVE_URL": "none", "CRYPTOBOT_RETRIES": "0"}
    command = start_backfill(home, served, everything(), **only_rest)
    command.until(lambda: "Ingest klines" in command.out.read_text(), "ingestion")
    served.stop()
    code, _, err = command.finish()
    served.start()
    assert code == 1
    assert err == f"cryptobot: klines: exchange {served.url} gave no usable answer: nothing answers there\n"
    assert left_behind(home) == []


def test_killed_again_and_again_it_ends_in_the_same_rows(served: ServedExchange, undisturbed: Tables, home: Path):
    """`benchmarks/kills.py` kills as often as one likes."""
    assert len(batter(home, served, seed=1, kills=3)) == 3
    backfill(home, served, everything())
    require_same_tables(read_tables(home), undisturbed)
    assert left_behind(home) == []


def test_two_at_once_store_the_rows_of_one(served: ServedExchange, undisturbed: Tables, tmp_path: Path):
    """On one home the second is refused; two homes share a lake."""
    home, lake = tmp_path / "home", str(tmp_path / "lake")
    shared = {"CRYPTOBOT_STORE_URL": lake}
    first = start_backfill(home, served, EARLY, **shared)
    first.until(lambda: (home / "demo.lock").is_file() and (home / "demo.lock").read_text(), "hold of its home")
    other = start_backfill(tmp_path / "other", served, LATE, **shared)
    refused = start_backfill(tmp_path / "refused", served, LATE, **shared, CRYPTOBOT_HOME=str(home))
    code, _, err = refused.finish()
    assert code == 2
    assert err.count("\n") == 1 and f"home {home} is in use by pid {first.process.pid} (cryptobot backfill)" in err
    for command in (first, other):
        code, _, err = command.finish()
        assert (code, err) == (0, "")
    require_same_tables(tables_of(Lake(lake)), undisturbed)


def test_a_store_restarted_in_the_middle_of_writes_ends_in_the_same_rows(
    served: ServedExchange, undisturbed: Tables, tmp_path: Path
):
    """Two homes share a database; its server ends every connection while both wait for a lock in their write."""
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        address = make_database(server)
        store = PostgresStore(address)
        store.replace(KLINES, undisturbed["klines"].clear(), start=None, end=None)
        holder = psycopg2.connect(address)
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE klines IN SHARE ROW EXCLUSIVE MODE")
        commands = {
            wanted: start_backfill(tmp_path / wanted.first, served, wanted, CRYPTOBOT_STORE_URL=address)
            for wanted in (EARLY, LATE)
        }
        for command in commands.values():
            command.until(lambda: waiting(address) == len(commands), "write")
        os.kill(int(server.layout.postmaster_lines()[0]), signal.SIGINT)
        time.sleep(0.3)
        server.acquire()
        holder.close()
        for wanted, command in commands.items():
            if not ended_well(command):
                backfill(tmp_path / wanted.first, served, wanted, CRYPTOBOT_STORE_URL=address)
        require_same_tables(tables_of(store), undisturbed)
        store.close()


def waiting(address: str) -> int:
    """Sessions that wait for a lock."""
    with psycopg2.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return cursor.fetchone()[0]


def ended_well(command: Command) -> bool:
    """Whether it did; if not, it failed with one clear line."""
    code, _, err = command.finish()
    assert code == 0 or (code == 1 and err.count("\n") == 1), (code, err)
    return code == 0

"""Backing up, destroying and restoring each kind of store, on real servers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import count
from pathlib import Path

import polars as pl
import psycopg2
import pytest
from alembic.config import Config
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.contracts.table_rows import END, make_rows, spoil
from cryptobot_assets.errors import BadBackup, HomeConflict, StoreError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup import Watch, backup_place, make_backup
from cryptobot_assets.storage.backup_lake import LakeSource
from cryptobot_assets.storage.backup_manifest import backup_names, read_manifest
from cryptobot_assets.storage.backup_objects import ObjectWriter
from cryptobot_assets.storage.backup_place import open_place
from cryptobot_assets.storage.backup_restore import Restore
from cryptobot_assets.storage.backup_tables import TablesSource
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.postgres import REVISION
from cryptobot_assets.storage.postgres_address import is_postgres
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES, TABLES, Store, open_store
from cryptobot_assets_tests.storage.backups import Watcher, interrupt, unwatched
from cryptobot_assets_tests.storage.postgres_server import make_database, run, url_of
from cryptobot_assets_tests.storage.s3_server import s3_environment, s3_server

pytestmark = pytest.mark.platform

NUMBERS = count(1)
CURRENCIES = ("1INCHUSDT", "BTCUSDT")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "postgres") as server:
        yield server


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@dataclass(frozen=True)
class Place:
    """A store with rows, and where its backups go."""

    settings: Settings

    @cached_property
    def store(self) -> Store:
        """Opened anew after the store was destroyed or restored, as by processes that were stopped for it."""
        return open_store(self.settings)

    def rows(self) -> dict[str, pl.DataFrame]:
        return {table.name: self.store.read(table) for table in TABLES.values()}

    def versions(self) -> dict[str, str]:
        return {table.name: self.store.version(table) for table in TABLES.values()}

    def back_up(self) -> str:
        """The backup's name."""
        return make_backup(self.settings, unwatched).manifest.name

    def restore(self, name: str | None = None, *, settings: Settings | None = None, watch: Watch = unwatched) -> None:
        place = backup_place(self.settings)
        manifest = read_manifest(place, name or backup_names(place)[-1])
        vars(self).pop("store", None)
        Restore(place, manifest, settings or self.settings).run(watch)

    def destroy(self) -> None:
        """As `rm -rf`, `DROP SCHEMA` or the deletion of every object do."""
        url = self.settings.lake_url
        vars(self).pop("store", None)
        if is_postgres(url):
            run(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        elif url.startswith("s3://"):
            lake = open_place(url, self.settings)
            for file in list(lake.files()):
                lake.delete(file.name)
        else:
            shutil.rmtree(url)


@pytest.fixture(scope="module")
def filled_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake to copy, with two currencies in every table, written in several commits; the last took rows away."""
    folder = tmp_path_factory.mktemp("filled") / "lake"
    fill(open_store(Settings.load(store_url=str(folder))))
    return folder


@pytest.fixture(scope="module")
def filled_database(server: EmbeddedPostgres) -> str:
    """The same in a database."""
    url = make_database(server)
    fill(open_store(Settings.load(store_url=url)))
    return url


@pytest.fixture(params=["directory", "bucket", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A filled store of each kind."""
    urls = {"store_url": str(tmp_path / "lake"), "backup_url": str(tmp_path / "backups")}
    if request.param == "bucket":
        for name, value in s3_environment(request.getfixturevalue("endpoint")).items():
            monkeypatch.setenv(name, value)
        number = next(NUMBERS)
        urls = {"store_url": f"s3://bucket/store/{number}", "backup_url": f"s3://bucket/backups/{number}"}
    if request.param == "postgresql":
        filled = request.getfixturevalue("filled_database")
        urls["store_url"] = make_database(request.getfixturevalue("server"), like=filled)
    place = Place(Settings.load(home=tmp_path / "home", **urls))
    if request.param != "postgresql":
        put(request.getfixturevalue("filled_lake"), place.settings)
    return place


def put(lake: Path, settings: Settings) -> None:
    """Copy a lake to where the settings have theirs."""
    target = open_place(settings.lake_url, settings)
    for file in lake.rglob("*"):
        if file.is_file():
            target.write(str(file.relative_to(lake)), [file.read_bytes()])


def fill(store: Store) -> None:
    for table in TABLES.values():
        for seed, currency in enumerate(CURRENCIES):
            rows = make_rows(table, currency=currency, seed=seed)
            store.replace(table, rows, start=None, end=None, currency=currency)
    store.replace(KLINES, make_rows(KLINES, 40), start=START, end=END, currency="BTCUSDT")
    odd = make_rows(GAPS, 3, currency="A\\tB'\nC").with_columns(kind=pl.lit(None, pl.String))
    store.replace(GAPS, odd, start=None, end=None, currency="A\\tB'\nC")


def require_same(found: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> None:
    for name, rows in expected.items():
        assert_frame_equal(found[name], rows, check_exact=True)


def test_a_destroyed_store_comes_back_row_for_row_and_goes_on(place: Place) -> None:
    rows, versions = place.rows(), place.versions()
    assert sum(frame.height for frame in rows.values()) > 500
    place.back_up()
    place.destroy()
    assert all(frame.is_empty() for frame in place.rows().values())
    place.restore()
    require_same(place.rows(), rows)
    assert place.versions() == versions
    with pytest.raises(StoreError, match="refused the rows: low_is_positive"):
        place.store.replace(KLINES, spoil(make_rows(KLINES), {"low": -1.0}), start=None, end=None)
    require_same(place.rows(), rows)
    for name in (*CURRENCIES, "NEWUSDT"):
        place.store.replace(INDICATORS, make_rows(INDICATORS, 5, currency=name), start=START, end=END, currency=name)
    assert place.store.read(INDICATORS).height == 15
    assert place.versions()["indicators"] != versions["indicators"]


def test_the_backup_says_what_it_holds(place: Place) -> None:
    name, rows, versions = place.back_up(), place.rows(), place.versions()
    manifest = read_manifest(backup_place(place.settings), name)
    for table in TABLES.values():
        facts, held = manifest.store["tables"][table.name], rows[table.name]["time"]
        assert facts["rows"] == len(held)
        assert datetime.fromisoformat(facts["first"]) == held.min()
        assert datetime.fromisoformat(facts["newest"]) == held.max()
        assert facts.get("version", versions[table.name]) == versions[table.name]
    assert manifest.left_out == [f"the bookkeeping: {place.settings.home} has none yet"]
    assert "password" not in str(manifest.store)


def test_an_earlier_backup_replaces_what_was_written_since(place: Place) -> None:
    before, versions = place.rows(), place.versions()
    name = place.back_up()
    place.store.replace(KLINES, make_rows(KLINES, 7, seed=9), start=START, end=END, currency="BTCUSDT")
    place.store.replace(INDICATORS, make_rows(INDICATORS, currency="NEWUSDT"), start=None, end=None, currency="NEWUSDT")
    after = place.rows()
    later = place.back_up()
    for chosen, expected in ((name, before), (later, after), (name, before)):
        place.restore(chosen)
        require_same(place.rows(), expected)
    assert place.versions() == versions


def test_what_is_written_during_a_backup_is_not_in_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before, versions = place.rows(), place.versions()
    for source in (LakeSource, TablesSource):
        monkeypatch.setattr(source, "capture", writing_meanwhile(place, source.capture))
    place.back_up()
    assert place.store.read(KLINES).height == 7
    place.restore()
    require_same(place.rows(), before)
    assert place.versions() == versions


def test_what_is_cut_short_passes_for_nothing_whole_and_run_again_ends_well(place: Place) -> None:
    before = place.rows()
    with pytest.raises(KeyboardInterrupt):
        make_backup(place.settings, Watcher("Back up", 2, interrupt))
    assert backup_names(backup_place(place.settings)) == []
    place.back_up()
    place.store.replace(KLINES, make_rows(KLINES, 7, seed=9), start=None, end=None)
    after = place.rows()
    with pytest.raises(KeyboardInterrupt):
        place.restore(watch=Watcher("Restore", 3, interrupt))
    if is_postgres(place.settings.lake_url):
        require_same(place.rows(), after)
    with pytest.raises(HomeConflict, match="not restored to the end: run again `cryptobot restore"):
        place.back_up()
    place.restore()
    require_same(place.rows(), before)
    place.back_up()


def writing_meanwhile(place: Place, capture):
    """A capture before which someone replaces all klines."""

    def write_and_capture(source: LakeSource | TablesSource, writer: ObjectWriter) -> None:
        place.store.replace(KLINES, make_rows(KLINES, 7, seed=9), start=None, end=None)
        place.store.replace(GAPS, make_rows(GAPS, 7), start=None, end=hours_after(100))
        capture(source, writer)

    return write_and_capture


def test_versions_of_a_lake_can_be_read_again_after_a_restore(filled_lake: Path, tmp_path: Path) -> None:
    place = Place(Settings.load(home=tmp_path / "home", store_url=str(tmp_path / "lake")))
    put(filled_lake, place.settings)
    old = pl.read_delta(str(tmp_path / "lake" / "klines"), version=int(place.versions()["klines"]) - 1)
    place.back_up()
    place.destroy()
    place.restore()
    again = pl.read_delta(str(tmp_path / "lake" / "klines"), version=int(place.versions()["klines"]) - 1)
    assert_frame_equal(again, old, check_row_order=False)
    assert old.height == 96


def test_a_table_whose_file_is_gone_is_not_backed_up(filled_lake: Path, tmp_path: Path) -> None:
    place = Place(Settings.load(home=tmp_path / "home", store_url=str(tmp_path / "lake")))
    put(filled_lake, place.settings)
    name = place.back_up()
    next((tmp_path / "lake" / "indicators").rglob("*.parquet")).unlink()
    with pytest.raises(StoreError, match=r"table indicators at .* is damaged: currency=.*parquet is missing"):
        place.back_up()
    assert backup_names(backup_place(place.settings)) == [name]


# PostgreSQL


@pytest.fixture
def database(server: EmbeddedPostgres, filled_database: str, tmp_path: Path) -> Place:
    return Place(Settings.load(home=tmp_path / "home", store_url=make_database(server, like=filled_database)))


CATALOGUE = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0
UNION ALL SELECT oid::regclass::text, relkind::text, relowner::regrole::text || coalesce(relacl::text, '') FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT proname, proowner::regrole::text, prosrc || coalesce(proacl::text, '') FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'revision', version_num, '' FROM cryptobot_alembic_version
ORDER BY 1, 2, 3
"""


def test_tables_rules_owners_and_rights_are_those_of_before(database: Place) -> None:
    url = database.settings.lake_url
    before = run(url, CATALOGUE)
    assert len(before) > 60
    database.back_up()
    database.destroy()
    database.restore()
    assert run(url, CATALOGUE) == before
    database.restore()
    assert run(url, CATALOGUE) == before


def test_other_tables_of_the_database_are_nobodys_business(database: Place) -> None:
    url = database.settings.lake_url
    run(url, "CREATE TABLE theirs AS SELECT 1 AS one", "CREATE FUNCTION cryptobots() RETURNS int RETURN 1")
    database.back_up()
    database.restore()
    assert run(url, "SELECT one, cryptobots() FROM theirs") == [(1, 1)]


def test_tables_in_use_are_waited_for_and_then_left_alone(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptobot_assets.storage.backup_tables.LOCK_SECONDS", 1)
    database.back_up()
    rows = database.rows()
    reader = psycopg2.connect(database.settings.lake_url)
    try:
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM klines")
            with pytest.raises(StoreError, match="lock timeout"):
                database.restore()
    finally:
        reader.close()
    require_same(database.rows(), rows)


def test_a_user_without_rights_changes_nothing(database: Place, server: EmbeddedPostgres) -> None:
    database.back_up()
    rows = database.rows()
    run(
        database.settings.lake_url,
        "DROP ROLE IF EXISTS onlooker",
        "CREATE ROLE onlooker LOGIN IN ROLE cryptobot_reader",
    )
    name = database.settings.lake_url.partition("@/")[2].partition("?")[0]
    settings = Settings.load(home=database.settings.home, store_url=url_of(server, name, "onlooker"))
    try:
        assert make_backup(settings, unwatched).manifest.store["tables"]["klines"]["rows"] == 88
        with pytest.raises(StoreError, match="may not"):
            database.restore(settings=settings)
    finally:
        run(database.settings.lake_url, "DROP ROLE onlooker")
    require_same(database.rows(), rows)


def test_a_backup_of_a_newer_revision_asks_for_a_newer_program(database: Place) -> None:
    run(database.settings.lake_url, "UPDATE cryptobot_alembic_version SET version_num = '9999'")
    database.back_up()
    run(database.settings.lake_url, f"UPDATE cryptobot_alembic_version SET version_num = '{REVISION}'")
    rows = database.rows()
    with pytest.raises(StoreError, match="newer version: update this program"):
        database.restore()
    require_same(database.rows(), rows)


def test_a_backup_of_an_earlier_revision_is_brought_to_todays(database: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    gaps = database.store.read(GAPS)
    monkeypatch.setenv("CRYPTOBOT_STORE_URL", database.settings.lake_url)
    command.downgrade(Config(str(Path(__file__).parents[2] / "alembic.ini")), "0001")
    database.back_up()
    database.destroy()
    database.restore()
    held = run(database.settings.lake_url, "SELECT version_num FROM cryptobot_alembic_version")
    assert held == [(REVISION,)]
    assert_frame_equal(database.store.read(GAPS), gaps.with_columns(kind=pl.lit(None, pl.String)))


def test_a_lake_is_not_restored_into_postgresql(database: Place, filled_lake: Path, tmp_path: Path) -> None:
    lake = Place(Settings.load(home=tmp_path / "other", store_url=str(filled_lake)))
    lake.back_up()
    with pytest.raises(BadBackup, match=r"holds a lake store and postgresql://.* set CRYPTOBOT_STORE_URL"):
        lake.restore(settings=database.settings)


def test_an_empty_store_is_backed_up_and_restored_as_one(server: EmbeddedPostgres, tmp_path: Path) -> None:
    for number, url in enumerate((str(tmp_path / "lake"), make_database(server))):
        place = Place(Settings.load(home=tmp_path / f"home{number}", store_url=url))
        place.back_up()
        fill(place.store)
        place.restore()
        assert all(frame.is_empty() for frame in place.rows().values())

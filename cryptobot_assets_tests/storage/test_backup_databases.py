"""The bookkeeping databases in backups, with the real pg_dump and psql on a real server."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg2
import pytest

from cryptobot_assets.errors import BadBackup, StoreError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup import backup_place
from cryptobot_assets.storage.backup_databases import (
    DatabaseSource,
    client_program,
    connect,
    holds_rows,
    others_connected,
    restore_database,
)
from cryptobot_assets.storage.backup_manifest import Manifest, write_manifest
from cryptobot_assets.storage.backup_objects import ObjectReader, ObjectWriter
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets_tests.storage.backups import interrupt, restore_database_and_die
from cryptobot_assets_tests.storage.postgres_server import make_database, run

pytestmark = pytest.mark.platform

ROWS = 30_000
TABLES = (
    "CREATE TABLE runs (id serial PRIMARY KEY, artifact_uri text, note varchar(200), content bytea, at timestamptz)",
    "INSERT INTO runs (artifact_uri, note, content, at) VALUES "
    "('file:///old/home/mlflow/1', E'two\\nlines\\t\\\\ and it''s', '\\xdeadbeef', '2024-01-01 00:00:00.123456+00'), "
    "('file:///old/homestead/1', 'file:///old/home/mlflow', NULL, 'infinity'), "
    "('s3://bucket/old/home/', 'COPY runs FROM stdin;', '', NULL), "
    "('file:///old/home/it''s 100 %', E'\\\\.', NULL, NULL)",
    f"CREATE TABLE events AS SELECT n, repeat(md5(n::text), 8) AS body FROM generate_series(1, {ROWS}) AS n",
    "CREATE INDEX ON events (n)",
    "CREATE VIEW newest AS SELECT max(n) FROM events",
)
EVERYTHING = (
    "SELECT * FROM runs ORDER BY id",
    "SELECT count(*), sum(n), md5(string_agg(body, '' ORDER BY n)) FROM events",
    "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT * FROM newest",
    "SELECT last_value FROM runs_id_seq",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "postgres") as server:
        yield server


@pytest.fixture
def url(server: EmbeddedPostgres) -> str:
    url = make_database(server)
    run(url, *TABLES)
    return url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path / "home")


def content(url: str) -> list[list[tuple]]:
    return [run(url, statement) for statement in EVERYTHING]


def capture(source: DatabaseSource, settings: Settings, tell=lambda size, path: None) -> Manifest:
    """A backup of this one database."""
    place = backup_place(settings)
    writer = ObjectWriter(place, {}, None, tell)
    try:
        source.capture(writer)
    finally:
        source.close()
    objects = writer.finish()
    manifest = Manifest("2024-01-01T00-00-00Z", {"kind": "lake", "tables": {}}, None, ["mlflow"], [], objects,
                        writer.entries)  # fmt: skip
    write_manifest(place, manifest)
    return manifest


def restore(url: str, manifest: Manifest, settings: Settings, **options: object) -> None:
    reader = ObjectReader(backup_place(settings), manifest.name)
    restore_database("mlflow", url, manifest, reader, lambda size, path: None, **options)


def test_a_database_comes_back_as_it_was_at_the_instant(url: str, server: EmbeddedPostgres, settings: Settings) -> None:
    before = content(url)
    source = DatabaseSource("mlflow", url)
    run(url, "DELETE FROM runs", "INSERT INTO events VALUES (-1, 'later')")
    manifest = capture(source, settings)
    for target in (url, make_database(server)):
        restore(target, manifest, settings)
        assert content(target) == before
        run(target, "INSERT INTO runs (note) VALUES ('and on it goes')")


def test_addresses_of_files_move_with_the_home(url: str, settings: Settings) -> None:
    manifest = capture(DatabaseSource("mlflow", url), settings)
    restore(url, manifest, settings, moved=("/old/home", "/new place/it's"))
    assert [row[0] for row in run(url, "SELECT artifact_uri FROM runs ORDER BY id")] == [
        "file:///new%20place/it%27s/mlflow/1",
        "file:///old/homestead/1",
        "s3://bucket/old/home/",
        "file:///new%20place/it%27s/it's 100 %",
    ]
    assert run(url, "SELECT note FROM runs WHERE id = 2") == [("file:///new%20place/it%27s/mlflow",)]


def test_a_restore_that_is_killed_leaves_what_was_there(
    url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psql sees no more than the end of its input; it must not take that for the end of the script."""
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects.LEAST_STREAM_BYTES", 100_000)
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects.STREAM_BYTES", 500_000)
    assert len(capture(DatabaseSource("mlflow", url), settings).objects) > 4
    run(url, "DELETE FROM runs WHERE id > 1")
    before = content(url)
    killed = multiprocessing.get_context("spawn").Process(target=restore_database_and_die, args=(settings.home, url, 3))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert content(url) == before


def test_a_restore_that_is_interrupted_leaves_what_was_there(url: str, settings: Settings) -> None:
    manifest = capture(DatabaseSource("mlflow", url), settings)
    run(url, "DELETE FROM runs WHERE id > 1")
    before = content(url)
    reader = ObjectReader(backup_place(settings), manifest.name)
    with pytest.raises(KeyboardInterrupt):
        restore_database("mlflow", url, manifest, reader, lambda size, path: interrupt())
    assert content(url) == before


def test_a_script_that_the_server_refuses_leaves_what_was_there(
    url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = capture(DatabaseSource("mlflow", url), settings)
    before = content(url)
    monkeypatch.setattr(ObjectReader, "blocks", lambda reader, entry: iter([b"CREATE TABLE t ();\nSELEC 1;\n" * 5_000]))
    with pytest.raises(StoreError, match=r'psql of store_.* failed: .*syntax error at or near "SELEC"') as refusal:
        restore(url, manifest, settings)
    assert "\n" not in str(refusal.value)
    assert content(url) == before


def test_a_database_that_is_not_in_the_backup_is_refused(url: str, settings: Settings) -> None:
    manifest = capture(DatabaseSource("dagster", url), settings)
    with pytest.raises(BadBackup, match="holds no database mlflow"):
        restore(url, manifest, settings)


def test_a_database_that_goes_away_is_one_clear_line(url: str, settings: Settings) -> None:
    source = DatabaseSource("mlflow", url)
    run(url.replace("/store_", "/postgres?", 1).partition("?")[0] + "?" + url.partition("?")[2],
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'store_%'")  # fmt: skip
    with pytest.raises(StoreError, match=r"pg_dump of store_.* failed: .*snapshot") as refusal:
        capture(source, settings)
    assert "\n" not in str(refusal.value)
    with pytest.raises(StoreError, match=r"the bookkeeping database: .*does not exist"):
        connect(url.replace("/store_", "/nowhere_"))


def test_no_password_is_shown_to_other_users(url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects.LEAST_STREAM_BYTES", 0)
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects.STREAM_BYTES", 100_000)
    seen = []

    def look(size: int, path: str) -> None:
        dumps = (child for child in psutil.Process().children() if child.name() == "pg_dump")
        seen.extend(child.cmdline() for child in dumps if child.status() != psutil.STATUS_ZOMBIE)

    with_password = url.replace("cryptobot@", "cryptobot:s3cret@")
    capture(DatabaseSource("mlflow", with_password), settings, look)
    assert any("--dbname" in word for words in seen for word in words)
    assert "s3cret" not in str(seen)


def test_who_is_in_and_what_is_there(url: str) -> None:
    assert others_connected(url) == 0
    other = psycopg2.connect(url)
    try:
        assert others_connected(url) == 1
    finally:
        other.close()
    assert holds_rows(url, ("absent", "runs"))
    run(url, "DELETE FROM runs")
    assert not holds_rows(url, ("absent", "runs"))


def test_a_client_older_than_the_server_is_not_used() -> None:
    newer = SimpleNamespace(info=SimpleNamespace(server_version=990_000))
    with pytest.raises(StoreError, match=r"PostgreSQL 99: install its client programs \(pg_dump\)"):
        client_program("pg_dump", newer)

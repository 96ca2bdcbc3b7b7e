"""PostgreSQL: the store contract, and what is particular to it, on a real server."""

from __future__ import annotations

import os
import signal
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import polars as pl
import psycopg2
import pytest
from adbc_driver_manager import AdbcStatusCode, OperationalError
from alembic.config import Config
from alembic.script import ScriptDirectory
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.contracts.stores import StoreContract
from cryptobot_assets.contracts.table_rows import BROKEN, END, make_rows, priced, spoil
from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage import postgres_connection, postgres_schema
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.postgres import REVISION, PostgresStore
from cryptobot_assets.storage.postgres_address import parse_address
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES, PREDICTIONS, TABLES, open_store
from cryptobot_assets_tests.storage.postgres_server import make_database, run, url_of

pytestmark = pytest.mark.platform

SSL_REQUEST = 80877103
COLUMN_TYPES = {pl.String: "text", pl.Datetime: "timestamp with time zone", pl.Float64: "double precision",
                pl.Int64: "bigint"}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "postgres") as server:
        yield server


@pytest.fixture(scope="module")
def with_tables(server: EmbeddedPostgres) -> str:
    """A database whose tables are made, to be copied: making them is most of what a short test costs."""
    store = PostgresStore(address := make_database(server))
    store.replace(KLINES, make_rows(KLINES).clear(), start=None, end=None)
    store.close()
    return address


@pytest.fixture(scope="module")
def with_rows(server: EmbeddedPostgres, with_tables: str) -> str:
    """The same with 48 rows in every table, to be copied."""
    store = PostgresStore(address := make_database(server, like=with_tables))
    for table in TABLES.values():
        store.replace(table, make_rows(table), start=START, end=END)
    store.close()
    return address


@pytest.fixture
def address(request: pytest.FixtureRequest, server: EmbeddedPostgres) -> str:
    """A database of the test's own: with rows in every table where it asks for `filled`, else an empty one."""
    like = "with_rows" if "filled" in request.fixturenames else None
    return make_database(server, like=like and request.getfixturevalue(like))


@pytest.fixture
def filled(address: str) -> PostgresStore:
    """Every table with 48 rows."""
    return PostgresStore(address)


class TestPostgres(StoreContract):
    opener = PostgresStore

    @pytest.fixture
    def address(self, request: pytest.FixtureRequest, server: EmbeddedPostgres, with_tables: str) -> str:
        """Tests that every table goes through find it made, unless they begin before it is."""
        begins_before = request.node.originalname in (
            "test_a_table_never_written_is_empty",
            "test_upkeep_changes_no_row",
        )
        made = "table" in request.fixturenames and not begins_before
        return make_database(server, like=with_tables if made else None)


# Tables


def test_the_tables_are_what_the_platform_says_they_are(filled: PostgresStore, address: str):
    for table in TABLES.values():
        columns = run(
            address,
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_name = '{table.name}' ORDER BY ordinal_position",
        )
        assert columns == [(name, COLUMN_TYPES[type(kind)]) for name, kind in table.schema.items()]
        of_table = f"WHERE conrelid = '{table.name}'::regclass AND contype"
        rules = run(address, f"SELECT conname FROM pg_constraint {of_table} = 'c'")
        assert {name for (name,) in rules} == set(table.rules)
        key = run(
            address,
            "SELECT array_agg(attname::text ORDER BY place) FROM pg_constraint, unnest(conkey) WITH ORDINALITY"
            f" AS k(num, place) JOIN pg_attribute ON attnum = k.num {of_table} = 'p' AND attrelid = conrelid",
        )
        assert key == [(list(table.key),)]


def test_rules_hold_for_whoever_writes_to_the_tables(filled: PostgresStore, address: str):
    for table, values in BROKEN:
        row = spoil(make_rows(table, seed=1), values).row(2)
        marks = ", ".join(["%s"] * len(row))
        connection = psycopg2.connect(address)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {table.name}")
                with pytest.raises(psycopg2.IntegrityError):
                    cursor.execute(f"INSERT INTO {table.name} VALUES ({marks})", row)
        finally:
            connection.close()


def test_each_currency_has_an_indicator_table_of_its_own(filled: PostgresStore, address: str):
    filled.replace(
        INDICATORS, make_rows(INDICATORS, 5, currency="1INCHUSDT"), start=START, end=END, currency="1INCHUSDT"
    )
    for name, rows in {"indicators_BTCUSDT": 48, "indicators_btcusdt": 48, "indicators_1INCHUSDT": 5}.items():
        assert run(address, f"SELECT count(*), count(DISTINCT currency) FROM {name}") == [(rows, 1)]
    with pytest.raises(StoreError, match="too long"):
        filled.replace(INDICATORS, make_rows(INDICATORS, currency="A" * 60), start=START, end=END)


def test_alembic_brings_the_tables_to_the_newest_revision_and_back(address: str, monkeypatch: pytest.MonkeyPatch):
    from alembic import command

    config = Config(str(Path(__file__).parents[2] / "alembic.ini"))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]
    monkeypatch.setenv("CRYPTOBOT_STORE_URL", address)
    for _ in range(2):
        command.upgrade(config, "head")
    store = open_store(Settings.load())
    store.replace(KLINES, priced(1.0), start=START, end=END)
    command.upgrade(config, "head")
    assert store.read(KLINES).height == 48
    command.downgrade(config, "base")
    assert run(address, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == [(1,)]
    PostgresStore(address).replace(KLINES, priced(2.0), start=START, end=END)
    assert_frame_equal(store.read(KLINES), priced(2.0))


def test_tables_of_a_newer_version_are_left_alone(filled: PostgresStore, address: str):
    run(address, "UPDATE cryptobot_alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version: update this program"):
        PostgresStore(address).replace(KLINES, priced(1.0), start=START, end=END)


# Writing


def test_a_write_that_changes_nothing_writes_nothing(filled: PostgresStore, address: str):
    versions = {name: filled.version(table) for name, table in TABLES.items()}
    places = {name: run(address, f"SELECT ctid, xmin FROM {name}") for name in TABLES}
    for table in TABLES.values():
        assert filled.replace(table, make_rows(table), start=START, end=END) == 48
    assert {name: filled.version(table) for name, table in TABLES.items()} == versions
    assert {name: run(address, f"SELECT ctid, xmin FROM {name}") for name in TABLES} == places


def test_only_rows_that_differ_are_written(filled: PostgresStore, address: str):
    untouched = "SELECT time, xmin FROM klines WHERE extract(hour FROM time) < 10 ORDER BY time"
    before, version = run(address, untouched), filled.version(KLINES)
    late = pl.col("time").dt.hour() >= 10
    rows = make_rows(KLINES).with_columns(trades=pl.when(late).then(None).otherwise("trades"))
    filled.replace(KLINES, rows, start=START, end=END, currency="BTCUSDT")
    assert run(address, untouched) == before
    assert_frame_equal(filled.read(KLINES), rows)
    assert filled.version(KLINES) != version


def test_currencies_do_not_wait_for_each_other_and_one_span_does(filled: PostgresStore, address: str):
    """A writer of BTCUSDT has not ended; ETHUSDT is written, BTCUSDT and the whole table wait."""
    ended: list[str] = []

    def write(name: str, **equal: str) -> threading.Thread:
        def work() -> None:
            rows = priced(9.0, name) if equal else priced(9.0, "BTCUSDT")
            PostgresStore(address).replace(KLINES, rows, start=START, end=END, **equal)
            ended.append(name)

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    held = psycopg2.connect(address)
    with held.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended('cryptobot klines', 0))")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('cryptobot klines/BTCUSDT', 0))")
        waiting = [write("BTCUSDT", currency="BTCUSDT")]
        write("ETHUSDT", currency="ETHUSDT").join(60)
        waiting.append(write("whole"))
        time.sleep(0.3)
        assert ended == ["ETHUSDT"]
    held.close()
    for thread in waiting:
        thread.join(60)
    assert sorted(ended) == ["BTCUSDT", "ETHUSDT", "whole"]


def test_a_server_restarted_while_writing_loses_nothing(address: str, server: EmbeddedPostgres):
    store, prices, failures = PostgresStore(address), [], []
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                price = float(len(prices) + 1)
                store.replace(KLINES, priced(price), start=START, end=END, currency="BTCUSDT")
                prices.append(price)
        except StoreError as error:
            failures.append(error)

    def wait_for_writes() -> None:
        reached = len(prices) + 3
        while len(prices) < reached and writer.is_alive():
            time.sleep(0.01)

    writer = threading.Thread(target=work)
    writer.start()
    for signum in (signal.SIGINT, signal.SIGQUIT):
        wait_for_writes()
        os.kill(int(server.layout.postmaster_lines()[0]), signum)
        time.sleep(0.3)
        server.acquire()
    wait_for_writes()
    stop.set()
    writer.join(60)
    assert failures == []
    assert_frame_equal(store.read(KLINES), priced(prices[-1]))


@pytest.mark.parametrize(("said", "waits"), [("the database system is starting up", True), ("shutting down", False)])
def test_a_writer_is_more_patient_with_a_server_that_recovers(
    address: str, monkeypatch: pytest.MonkeyPatch, said: str, waits: bool
):
    store = PostgresStore(address)
    store.replace(KLINES, priced(1.0), start=START, end=END, currency="BTCUSDT")
    refusals, connect = [said] * 4, postgres_connection.dbapi.connect

    def refuse_at_first(place: str) -> postgres_connection.dbapi.Connection:
        if refusals:
            message = f"IO: [libpq] Failed to connect: FATAL:  {refusals.pop()}"
            raise OperationalError(message, status_code=AdbcStatusCode.IO)
        return connect(place)

    monkeypatch.setattr(postgres_connection.dbapi, "connect", refuse_at_first)
    monkeypatch.setattr(postgres_connection, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(postgres_connection, "STARTING_SECONDS", 0.0)
    store._connections.close()
    with nullcontext() if waits else pytest.raises(StoreError, match="does not answer: shutting down"):
        store.replace(KLINES, priced(2.0), start=START, end=END, currency="BTCUSDT")
    refusals.clear()
    assert_frame_equal(store.read(KLINES), priced(2.0 if waits else 1.0))


# Reading


def test_sql_asks_the_server_for_what_it_needs_alone(filled: PostgresStore, monkeypatch: pytest.MonkeyPatch):
    from cryptobot_assets.storage.postgres_scan import PostgresScans

    asked = []
    read = PostgresScans.read
    monkeypatch.setattr(PostgresScans, "read", lambda *args: asked.append(args[2:]) or read(*args))
    for name in ("ADAUSDT", "ETHUSDT"):
        filled.replace(KLINES, priced(2.0, name), start=START, end=END, currency=name)
    day = "time >= '2024-01-01 05:00' AND time < '2024-01-01 07:00'"
    assert filled.query(f"SELECT close FROM klines WHERE currency = 'ETHUSDT' AND {day}").height == 2
    columns, where = asked.pop()
    assert columns == ["currency", "time", "close"]
    assert where.count(" AND ") == 2
    among = f"SELECT max(high) AS high FROM klines WHERE currency IN ('ADAUSDT', 'ETHUSDT', 'X') AND {day}"
    assert filled.query(among)["high"].to_list() == [2.0]
    assert "\"currency\" IN ('ADAUSDT', 'ETHUSDT', 'X')" in asked.pop()[1]


@pytest.mark.parametrize(
    "where",
    [
        "currency = 'ETHUSDT' OR time < '2024-01-01 03:00'",
        "NOT (currency = 'ETHUSDT' AND time < '2024-01-01 03:00')",
        "source = '(time >= 2030-01-01 00:00:00Z) and (x)' OR close > 1",
        "source = 'a\" and (time >= 2030-01-01 00:00:00Z) and \"' OR (close > 1 AND time > '2024-01-01')",
        "currency IN (" + ", ".join(f"'C{number}'" for number in range(40)) + ", 'ETHUSDT')",
        "time = '2024-01-01 03:00' AND currency <> 'ETHUSDT'",
        "close * 2 > 500 AND time BETWEEN '2024-01-01' AND '2024-01-02'",
        "trades IS NOT NULL AND time::DATE = DATE '2024-01-02'",
        "time IN (SELECT time FROM gaps WHERE currency = 'BTCUSDT' AND missing > 3)",
        "currency LIKE 'ETH%' AND high > open",
    ],
)
def test_sql_filters_as_duckdb_does_in_memory(filled: PostgresStore, where: str):
    import duckdb

    filled.replace(KLINES, make_rows(KLINES, currency="ETHUSDT", seed=4), start=START, end=END, currency="ETHUSDT")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in (KLINES, GAPS):
            connection.register(table.name, filled.read(table).to_arrow())
        statement = f"SELECT * FROM klines WHERE {where} ORDER BY currency, time"
        expected = pl.from_arrow(connection.sql(statement).to_arrow_table())
    assert_frame_equal(filled.query(statement), expected)


def test_a_statement_sees_one_instant(filled: PostgresStore, address: str, monkeypatch: pytest.MonkeyPatch):
    """Another process writes between the scans of one statement."""
    from cryptobot_assets.storage.postgres_scan import PostgresScans

    read = PostgresScans.read

    def slow(*args):
        reader = read(*args)
        PostgresStore(address).replace(KLINES, priced(7.0).head(1), start=None, end=None)
        return reader

    monkeypatch.setattr(PostgresScans, "read", slow)
    counts = filled.query("SELECT (SELECT count(close) FROM klines) AS a, (SELECT count(low) FROM klines) AS b")
    assert counts.row(0) == (48, 48)


# Who may do what


@pytest.fixture
def people(filled: PostgresStore, server: EmbeddedPostgres) -> dict[str, str]:
    """The address of one person of each role."""
    database = filled._place.rpartition("/")[2]
    for role in ("owner", "writer", "reader"):
        run(
            url_of(server, database),
            f"DO $$ BEGIN CREATE ROLE a_{role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            f"GRANT cryptobot_{role} TO a_{role}",
        )
    return {role: url_of(server, database, f"a_{role}") for role in ("owner", "writer", "reader")}


def test_a_reader_reads_and_cannot_write(people: dict[str, str]):
    store = PostgresStore(people["reader"])
    for table in TABLES.values():
        assert store.read(table).height == store.query(f"SELECT * FROM {table.name}").height == 48
        assert store.version(table) == "1"
        with pytest.raises(StoreError, match="refuses: permission denied"):
            store.replace(table, make_rows(table).head(5), start=START, end=END)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(people["reader"], f"DELETE FROM {table.name}")
    assert run(people["reader"], "SELECT count(*) FROM indicators_btcusdt") == [(48,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(people["reader"], "SELECT cryptobot_make_indicators('ETHUSDT')")


def test_a_writer_writes_new_currencies_too_and_cannot_drop(people: dict[str, str]):
    store = PostgresStore(people["writer"])
    for table in TABLES.values():
        rows = make_rows(table, currency="ETHUSDT", seed=2)
        store.replace(table, rows, start=START, end=END)
        assert_frame_equal(store.read(table), rows.sort(table.key))
    assert run(people["reader"], "SELECT count(*) FROM indicators_ethusdt") == [(48,)]
    for statement in ("DROP TABLE klines", "TRUNCATE klines", "ALTER TABLE klines DROP CONSTRAINT low_is_positive"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(people["writer"], statement)


def test_an_owner_migrates(people: dict[str, str]):
    postgres_schema.upgrade(parse_address(people["owner"]))
    run(people["owner"], "ALTER TABLE klines ADD COLUMN note text", "ALTER TABLE klines DROP COLUMN note")


def test_who_may_not_make_tables_is_told_what_to_do(address: str, server: EmbeddedPostgres):
    run(address, "DO $$ BEGIN CREATE ROLE nobody_special LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    store = PostgresStore(address.replace("//cryptobot@", "//nobody_special@"))
    assert store.read(KLINES).is_empty()
    with pytest.raises(StoreError, match="may not make or change its tables: let their owner write once"):
        store.replace(KLINES, priced(1.0), start=START, end=END)


def test_tables_are_made_without_the_right_to_make_roles(address: str):
    run(
        address,
        "DO $$ BEGIN CREATE ROLE plain_owner LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT CREATE ON SCHEMA public TO plain_owner",
    )
    store = PostgresStore(address.replace("//cryptobot@", "//plain_owner@"))
    for table in TABLES.values():
        store.replace(table, make_rows(table), start=START, end=END)
    assert_frame_equal(store.read(INDICATORS), make_rows(INDICATORS))
    assert run(address, "SELECT tableowner FROM pg_tables WHERE tablename = 'klines'") == [("plain_owner",)]


# Addresses


def test_the_settings_name_the_store(address: str):
    for form in ("postgresql", "postgres", "postgresql+psycopg2"):
        assert isinstance(open_store(Settings.load(store_url=address.replace("postgresql", form, 1))), PostgresStore)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://me:s3cret@127.0.0.1:1/db",
            r"127\.0\.0\.1:1/db does not answer: .*refused.*; start it, or correct",
        ),
        ("postgresql://me:s3cret@localhost:1/db?sslmode=disable", "does not answer"),
    ],
)
def test_an_unreachable_server_is_one_line_without_the_password(url: str, message: str):
    store = PostgresStore(url)
    began = time.monotonic()
    for work in (
        lambda: store.read(KLINES),
        lambda: store.replace(KLINES, priced(1.0), start=START, end=END),
        lambda: store.version(KLINES),
        lambda: store.query("SELECT 1"),
        lambda: store.spans(KLINES),
    ):
        with pytest.raises(StoreError, match=message) as caught:
            work()
        assert "s3cret" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("change", [("//cryptobot@", "//stranger:s3cret@"), ("/store_", "/no_such_")])
def test_a_refused_login_is_one_line_and_tried_once(address: str, change: tuple[str, str]):
    with pytest.raises(StoreError, match="does not exist; start it, or correct CRYPTOBOT_STORE_URL") as caught:
        PostgresStore(address.replace(*change)).read(KLINES)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_is_one_line_without_it(address: str, server: EmbeddedPostgres):
    rules = server.layout.data / "pg_hba.conf"
    rules.write_text(f"local all careful scram-sha-256\n{rules.read_text()}")
    run(address, "CREATE ROLE careful LOGIN PASSWORD 'right'", "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)")
    assert PostgresStore(address.replace("//cryptobot@", "//careful:right@")).read(KLINES).is_empty()
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        PostgresStore(address.replace("//cryptobot@", "//careful:wr%40ng@")).read(KLINES)
    assert "wr%40ng" not in str(caught.value)
    assert "wr@ng" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://u:p@db.example.com/c", "require"),
        ("postgres://u:p@10.0.0.7:5433/c?connect_timeout=3", "require"),
        ("postgresql://u@db.example.com/c?sslmode=verify-full", "verify-full"),
        ("postgresql:///c?host=db.example.com", "require"),
        ("postgresql://u@localhost,db.example.com/c", "require"),
        ("postgresql://u@[::1]:5432/c", None),
        ("postgresql://u@127.0.0.1/c", None),
        ("postgresql+psycopg2://u@/c?host=/run/postgresql", None),
        ("postgresql://u@%2Frun%2Fpostgresql/c", None),
    ],
)
def test_other_machines_are_spoken_to_encrypted(url: str, mode: str | None):
    libpq = parse_address(url).libpq
    assert libpq.startswith("postgresql://")
    assert f"sslmode={mode}" in libpq if mode else "sslmode" not in libpq


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_an_unencrypted_connection_to_another_machine_is_refused(mode: str):
    with pytest.raises(UsageError, match=r"db\.example\.com is another machine: use sslmode=require") as caught:
        open_store(Settings.load(store_url=f"postgresql://u:s3cret@db.example.com/c?sslmode={mode}"))
    assert "s3cret" not in str(caught.value)


def test_a_server_that_cannot_encrypt_is_told_nothing():
    """It answers each request for encryption with no."""
    heard: list[bytes] = []

    class Declining(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while request := self.request.recv(100):
                heard.append(request)
                self.request.sendall(b"N")

    with socketserver.TCPServer(("127.0.0.1", 0), Declining) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        with pytest.raises(StoreError, match="does not support SSL"):
            PostgresStore(f"postgresql://me:s3cret@{address}/db?sslmode=require").read(KLINES)
        server.shutdown()
        assert {struct.unpack("!ii", request) for request in heard} == {(8, SSL_REQUEST)}


@pytest.mark.parametrize("url", ["postgresql://u@host:port/db", "postgresql://[::1/db", "postgresql://u@a b:99999999/"])
def test_what_is_no_address_is_bad_usage(url: str):
    with pytest.raises(UsageError, match="CRYPTOBOT_STORE_URL"):
        PostgresStore(url)


def test_spans_are_first_and_newest_times(filled: PostgresStore):
    filled.replace(INDICATORS, make_rows(INDICATORS, 5, currency="ADAUSDT"), start=START, end=END, currency="ADAUSDT")
    assert filled.spans(INDICATORS) == {
        "ADAUSDT": (START, START + timedelta(hours=4)),
        "BTCUSDT": (START, hours_after(47)),
    }
    assert set(filled.spans(PREDICTIONS)) == {"BTCUSDT"}

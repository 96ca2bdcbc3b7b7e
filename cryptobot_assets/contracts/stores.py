"""What every store must pass, whichever engine holds its tables.

A test class inherits `StoreContract`, names its `opener` (importable, so that other processes can
call it) and gives a fixture `address` that the opener turns into an empty store.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.contracts.table_rows import BROKEN, END, make_rows, priced, spoil
from cryptobot_assets.errors import Overtaken, StoreError, UsageError
from cryptobot_assets.storage.store import (
    GAPS,
    INDICATORS,
    KLINES,
    PREDICTIONS,
    TABLES,
    Store,
    Table,
)

SPAWN = multiprocessing.get_context("spawn")
EVERY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)

Opener = Callable[[str], Store]


def write_prices(opener: Opener, address: str, together: Barrier, currency: str, prices: list[float]) -> None:
    """Replace a currency's two days once a price, beginning with the others; runs in a process of its own."""
    store = opener(address)
    together.wait(60)
    for price in prices:
        store.replace(KLINES, priced(price, currency), start=START, end=END, currency=currency)


def write_for_ever(opener: Opener, address: str, begun: Connection) -> None:
    """Replace the same two days again and again until killed."""
    store = opener(address)
    for price in range(2, 100_000):
        store.replace(KLINES, priced(float(price)), start=START, end=END, currency="BTCUSDT")
        begun.send(price)


class StoreContract:
    """Inherit, set `opener`, give the fixture `address`."""

    opener: Opener

    @pytest.fixture
    def store(self, address: str) -> Store:
        return type(self).opener(address)

    # Reading what was written

    @EVERY_TABLE
    def test_what_was_written_is_read(self, store: Store, table: Table) -> None:
        rows = make_rows(table)
        assert store.replace(table, rows.reverse(), start=START, end=END) == rows.height
        assert_frame_equal(store.read(table), rows.sort(table.key), check_exact=True)

    @EVERY_TABLE
    def test_a_table_never_written_is_empty(self, store: Store, table: Table) -> None:
        assert_frame_equal(store.read(table), pl.DataFrame(schema=table.schema))
        assert store.read(table, columns=["time"], currency="BTCUSDT").schema == pl.Schema(
            {"time": table.schema["time"]}
        )
        assert store.query(f"SELECT count(*) AS n FROM {table.name}")["n"].to_list() == [0]

    def test_columns_come_as_asked_and_in_the_order_of_the_key(self, store: Store) -> None:
        for name in ("ETHUSDT", "ADAUSDT"):
            rows = make_rows(KLINES, currency=name, seed=len(name) + ord(name[0]))
            store.replace(KLINES, rows.reverse(), start=START, end=END, currency=name)
        whole = store.read(KLINES)
        assert whole["currency"].to_list() == ["ADAUSDT"] * 48 + ["ETHUSDT"] * 48
        assert whole["time"].to_list() == store.read(KLINES, currency="ADAUSDT")["time"].to_list() * 2
        assert_frame_equal(store.read(KLINES, columns=["close", "time"]), whole.select("close", "time"))
        assert_frame_equal(store.read(KLINES, columns=["close"]), whole.select("close"))

    def test_ranges_hold_their_start_and_not_their_end(self, store: Store) -> None:
        rows = make_rows(KLINES)
        store.replace(KLINES, rows, start=START, end=END, currency="BTCUSDT")
        read = store.read(KLINES, start=hours_after(5), end=hours_after(9))
        assert read["time"].to_list() == [hours_after(n) for n in range(5, 9)]
        assert store.read(KLINES, start=hours_after(46)).height == 2
        assert store.read(KLINES, end=hours_after(3)).height == 3
        assert store.read(KLINES, start=hours_after(5), end=hours_after(5)).is_empty()
        east = timezone(timedelta(hours=9))
        assert store.read(KLINES, start=hours_after(46).astimezone(east)).height == 2

    def test_filters_take_one_value_or_several(self, store: Store) -> None:
        names = ("ADAUSDT", "BTCUSDT", "ETHUSDT")
        for name in names:
            store.replace(KLINES, make_rows(KLINES, 3, currency=name), start=START, end=END, currency=name)
        assert store.read(KLINES, currency="BTCUSDT")["currency"].unique().to_list() == ["BTCUSDT"]
        assert set(store.read(KLINES, currency=["ETHUSDT", "ADAUSDT"])["currency"]) == {"ADAUSDT", "ETHUSDT"}
        assert store.read(KLINES, currency="XRPUSDT").is_empty()
        assert store.read(KLINES, currency=[]).is_empty()
        assert store.read(KLINES, currency="BTCUSDT", source="rest", start=hours_after(2)).height == 1

    def test_quotes_in_a_value_are_only_letters(self, store: Store) -> None:
        market = "O'Neil' OR '1'='1"
        rows = make_rows(PREDICTIONS).with_columns(market=pl.lit(market))
        store.replace(PREDICTIONS, make_rows(PREDICTIONS), start=START, end=END, market="ALL")
        for _ in range(2):
            store.replace(PREDICTIONS, rows, start=START, end=END, market=market)
        assert store.read(PREDICTIONS, market=market).height == store.read(PREDICTIONS, market="ALL").height == 48

    def test_rows_are_counted_by_day_and_by_month(self, store: Store) -> None:
        assert store.counts(KLINES, every="day").is_empty()
        for name, count in (("ETHUSDT", 30), ("BTCUSDT", 48)):
            rows = make_rows(KLINES, count, currency=name)
            store.replace(KLINES, rows, start=START, end=END, currency=name)
        days = store.counts(KLINES, every="day")
        assert days.schema == {"currency": pl.String, "time": KLINES.schema["time"], "rows": pl.Int64}
        assert days.rows() == [
            ("BTCUSDT", START, 24), ("BTCUSDT", hours_after(24), 24), ("ETHUSDT", START, 24),
            ("ETHUSDT", hours_after(24), 6),
        ]  # fmt: skip
        assert store.counts(KLINES, every="month", currency=["ETHUSDT"]).rows() == [("ETHUSDT", START, 30)]
        part = store.counts(KLINES, every="day", start=hours_after(5), end=hours_after(25), currency="BTCUSDT")
        assert part.rows() == [("BTCUSDT", START, 19), ("BTCUSDT", hours_after(24), 1)]

    # Replacing

    @EVERY_TABLE
    def test_writing_twice_leaves_one_copy(self, store: Store, table: Table) -> None:
        rows = make_rows(table)
        for _ in range(2):
            store.replace(table, rows, start=START, end=END, currency="BTCUSDT")
        assert_frame_equal(store.read(table), rows.sort(table.key), check_exact=True)

    def test_only_the_span_is_replaced(self, store: Store) -> None:
        for name in ("BTCUSDT", "ETHUSDT"):
            store.replace(KLINES, priced(1.0, name), start=START, end=END, currency=name)
        first, end = hours_after(10), hours_after(20)
        fewer = priced(2.0).filter(pl.col("time").is_between(first, hours_after(15), closed="left"))
        assert store.replace(KLINES, fewer, start=first, end=end, currency="BTCUSDT") == 5
        held = store.read(KLINES, currency="BTCUSDT")
        assert held["time"].to_list() == [hours_after(n) for n in (*range(15), *range(20, 48))]
        assert held.filter(pl.col("close") == 2.0)["time"].to_list() == [hours_after(n) for n in range(10, 15)]
        assert_frame_equal(store.read(KLINES, currency="ETHUSDT"), priced(1.0, "ETHUSDT"))

    @pytest.mark.parametrize("table", [KLINES, INDICATORS, GAPS], ids=lambda table: table.name)
    def test_spans_are_the_first_and_newest_time_of_each_currency(self, store: Store, table: Table) -> None:
        assert store.spans(table) == {}
        ether = make_rows(table, 10, currency="ETHUSDT").with_columns(pl.col("time") + timedelta(milliseconds=1))
        rows = pl.concat([make_rows(table), ether])
        for first in (24, 0):
            piece = rows.filter((pl.col("time") >= hours_after(first)) & (pl.col("time") < hours_after(first + 24)))
            store.replace(table, piece, start=hours_after(first), end=hours_after(first + 24))
        held = rows.group_by("currency").agg(pl.col("time").min().alias("first"), pl.col("time").max().alias("newest"))
        assert store.spans(table) == {name: (first, newest) for name, first, newest in held.iter_rows()}

    def test_rows_may_come_in_any_order(self, store: Store) -> None:
        rows = pl.concat([priced(1.0), priced(2.0, "ETHUSDT")])
        store.replace(KLINES, rows.sample(fraction=1, shuffle=True, seed=1), start=START, end=END)
        assert_frame_equal(store.read(KLINES), rows, check_exact=True)
        assert_frame_equal(store.read(KLINES, currency="ETHUSDT"), priced(2.0, "ETHUSDT"), check_exact=True)

    @pytest.mark.parametrize("table", [KLINES, INDICATORS, GAPS], ids=lambda table: table.name)
    def test_several_currencies_are_replaced_at_once(self, store: Store, table: Table) -> None:
        names = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
        before = {name: make_rows(table, currency=name) for name in names}
        store.replace(table, pl.concat(before.values()), start=START, end=END)
        first, end = hours_after(10), hours_after(20)
        span = pl.col("time").is_between(first, end, closed="left")
        fresh = make_rows(table, currency="ETHUSDT", seed=1).filter(span)
        assert store.replace(table, fresh, start=first, end=end, currency=["BTCUSDT", "ETHUSDT"]) == fresh.height
        ether = pl.concat([before["ETHUSDT"].filter(~span), fresh]).sort("time")
        assert_frame_equal(store.read(table, currency="BTCUSDT"), before["BTCUSDT"].filter(~span), check_exact=True)
        assert_frame_equal(store.read(table, currency="ETHUSDT"), ether, check_exact=True)
        assert_frame_equal(store.read(table, currency="XRPUSDT"), before["XRPUSDT"], check_exact=True)
        with pytest.raises(StoreError, match="outside the span"):
            store.replace(table, before["XRPUSDT"], start=START, end=END, currency=["BTCUSDT", "ETHUSDT"])
        assert store.replace(table, fresh.clear(), start=START, end=END, currency=[]) == 0
        assert store.read(table, currency="XRPUSDT").height == before["XRPUSDT"].height

    def test_no_rows_empty_the_span(self, store: Store) -> None:
        store.replace(KLINES, priced(1.0), start=START, end=END, currency="BTCUSDT")
        assert store.replace(KLINES, priced(1.0).clear(), start=hours_after(1), end=END, currency="BTCUSDT") == 0
        assert store.read(KLINES)["time"].to_list() == [START]

    def test_an_open_span_is_everything_of_the_key(self, store: Store) -> None:
        store.replace(KLINES, priced(1.0), start=START, end=END, currency="BTCUSDT")
        store.replace(KLINES, priced(2.0).head(3), start=None, end=None, currency="BTCUSDT")
        assert store.read(KLINES)["close"].to_list() == [2.0] * 3

    def test_a_span_may_end_within_a_second(self, store: Store) -> None:
        end = START + timedelta(milliseconds=500)
        for price in (1.0, 2.0):
            store.replace(KLINES, priced(price).head(1), start=START, end=end, currency="BTCUSDT")
        assert store.read(KLINES)["close"].to_list() == [2.0]

    @pytest.mark.parametrize(
        ("start", "end", "currency"),
        [
            (START, hours_after(47), "BTCUSDT"),
            (hours_after(1), END, "BTCUSDT"),
            (START, END, "ETHUSDT"),
        ],
    )
    def test_rows_outside_the_span_are_refused(
        self, store: Store, start: datetime, end: datetime, currency: str
    ) -> None:
        store.replace(KLINES, priced(1.0), start=START, end=END, currency="BTCUSDT")
        with pytest.raises(StoreError, match="klines: rows outside the span"):
            store.replace(KLINES, priced(2.0), start=start, end=end, currency=currency)
        assert_frame_equal(store.read(KLINES), priced(1.0))

    @EVERY_TABLE
    def test_a_key_given_twice_is_refused(self, store: Store, table: Table) -> None:
        rows = make_rows(table)
        store.replace(table, rows, start=START, end=END)
        with pytest.raises(StoreError, match=f"{table.name}: rows repeat a key"):
            store.replace(table, pl.concat([rows, rows.tail(1)]), start=START, end=END)
        assert_frame_equal(store.read(table), rows.sort(table.key))

    def test_rows_that_break_a_rule_are_refused_and_the_old_ones_stay(self, store: Store) -> None:
        for table in TABLES.values():
            store.replace(table, make_rows(table), start=None, end=None)
        for table, values in BROKEN:
            with pytest.raises(StoreError, match=f"table {table.name}") as refusal:
                store.replace(table, spoil(make_rows(table, seed=1), values), start=None, end=None)
            assert "\n" not in str(refusal.value), values
        for table in TABLES.values():
            assert_frame_equal(store.read(table), make_rows(table).sort(table.key), check_exact=True)

    def test_a_refusal_names_the_rule(self, store: Store) -> None:
        with pytest.raises(StoreError, match="refused the rows: low_is_positive"):
            store.replace(KLINES, spoil(make_rows(KLINES), {"low": -1.0}), start=None, end=None)
        with pytest.raises(StoreError, match="numbers_are_finite"):
            store.replace(KLINES, spoil(make_rows(KLINES), {"volume": float("nan")}), start=None, end=None)

    # Versions

    def test_the_version_changes_with_the_content_of_its_table(self, store: Store, address: str) -> None:
        seen = [store.version(KLINES)]
        for price in (1.0, 2.0):
            store.replace(KLINES, priced(price), start=START, end=END, currency="BTCUSDT")
            seen.append(store.version(KLINES))
        assert len(set(seen)) == 3
        assert store.version(KLINES) == type(self).opener(address).version(KLINES) == seen[-1]
        assert store.version(INDICATORS) == type(self).opener(f"{address}").version(INDICATORS)

    def test_a_table_is_read_as_of_a_version_or_as_it_is(self, store: Store) -> None:
        versions = []
        for price in (1.0, 2.0):
            store.replace(KLINES, priced(price), start=START, end=END)
            versions.append(store.version(KLINES))
        closes = [store.as_of(KLINES, version).read(KLINES)["close"].unique().to_list() for version in versions]
        assert closes in ([[1.0], [2.0]], [[2.0], [2.0]])
        assert store.read(KLINES)["close"].unique().to_list() == [2.0]

    def test_a_store_opened_before_sees_what_another_writes(self, store: Store, address: str) -> None:
        other = type(self).opener(address)
        assert other.read(KLINES).is_empty()
        for price in (1.0, 2.0):
            store.replace(KLINES, priced(price), start=START, end=END, currency="BTCUSDT")
            assert_frame_equal(other.read(KLINES), priced(price))

    # Upkeep

    @EVERY_TABLE
    def test_upkeep_changes_no_row(self, store: Store, table: Table) -> None:
        assert store.maintain(table, history=timedelta(days=30)) == {}
        rows = make_rows(table)
        store.replace(table, rows, start=START, end=END)
        assert store.maintain(table, history=timedelta(days=30), keep={store.version(table)})
        assert_frame_equal(store.read(table), rows.sort(table.key), check_exact=True)

    # Rows made of what was read

    @pytest.mark.parametrize("others", [make_rows(GAPS, seed=1).head(20), make_rows(GAPS).clear()])
    def test_rows_made_of_what_has_changed_meanwhile_are_refused(
        self, store: Store, address: str, others: pl.DataFrame
    ) -> None:
        rows = make_rows(GAPS)
        store.replace(GAPS, rows, start=START, end=END, currency="BTCUSDT")
        version = store.version(GAPS)
        type(self).opener(address).replace(GAPS, others, start=START, end=END, currency="BTCUSDT")
        with pytest.raises(Overtaken, match=r"^table gaps: .*run it again$"):
            store.replace(GAPS, rows.head(3), start=START, end=END, since=version, currency="BTCUSDT")
        assert_frame_equal(store.read(GAPS), others.sort(GAPS.key))
        version = store.version(GAPS)
        store.replace(GAPS, rows.head(3), start=START, end=END, since=version, currency="BTCUSDT")
        assert_frame_equal(store.read(GAPS), rows.head(3))

    def test_the_first_rows_of_a_table_are_not_overwritten_unseen(self, store: Store, address: str) -> None:
        version, rows = store.version(GAPS), make_rows(GAPS)
        store.replace(GAPS, rows, start=START, end=END, since=version, currency="BTCUSDT")
        with pytest.raises(Overtaken):
            type(self).opener(address).replace(GAPS, rows.head(1), start=START, end=END, since=version)
        assert_frame_equal(store.read(GAPS), rows)

    # Several processes

    def test_processes_writing_at_once_lose_and_double_nothing(self, store: Store, address: str) -> None:
        """One writes a currency of its own, two the same span of another, all of them making the table."""
        work = [("BTCUSDT", range(1, 9)), ("ETHUSDT", range(11, 19)), ("ETHUSDT", range(21, 29))]
        together = SPAWN.Barrier(len(work))
        writers = [
            SPAWN.Process(target=write_prices, args=(type(self).opener, address, together, name, [*map(float, prices)]))
            for name, prices in work
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
        assert [writer.exitcode for writer in writers] == [0, 0, 0]
        assert_frame_equal(store.read(KLINES, currency="BTCUSDT"), priced(8.0))
        shared = store.read(KLINES, currency="ETHUSDT")
        assert shared.height == 48
        assert shared["close"].unique().item() in (18.0, 28.0)
        with pytest.raises(StoreError, match="low_is_positive"):
            store.replace(KLINES, spoil(make_rows(KLINES), {"low": -1.0}), start=None, end=None)

    def test_a_writer_killed_at_any_instant_leaves_whole_rows(self, store: Store, address: str) -> None:
        store.replace(KLINES, priced(1.0), start=START, end=END, currency="BTCUSDT")
        begun, tell = SPAWN.Pipe(duplex=False)
        writer = SPAWN.Process(target=write_for_ever, args=(type(self).opener, address, tell))
        writer.start()
        assert begun.poll(60)
        begun.recv()
        writer.join(0.01)
        writer.kill()
        writer.join(10)
        told = 2
        while begun.poll():
            told = begun.recv()
        held = store.read(KLINES)
        assert held.height == 48
        assert held["close"].unique().item() in (told, told + 1)
        store.replace(KLINES, priced(1.0), start=START, end=END, currency="BTCUSDT")
        assert_frame_equal(store.read(KLINES), priced(1.0))

    # SQL

    def test_sql_reads_the_tables_in_utc(self, store: Store) -> None:
        for table in (KLINES, INDICATORS, PREDICTIONS, GAPS):
            store.replace(table, make_rows(table), start=START, end=END)
            assert store.query(f"SELECT count(*) AS n FROM {table.name}")["n"].item() == 48
        found = store.query(
            "SELECT time, time::VARCHAR AS text, k.close * 2 AS twice"
            " FROM klines k JOIN indicators i USING (currency, time) WHERE time < '2024-01-01 02:00' ORDER BY time"
        )
        assert found["time"].to_list() == [START, hours_after(1)]
        assert found["text"].to_list() == ["2024-01-01 00:00:00+00", "2024-01-01 01:00:00+00"]
        assert found["twice"].to_list() == [2 * close for close in make_rows(KLINES)["close"][:2]]

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM klines",
            "INSERT INTO klines SELECT * FROM klines",
            "DROP VIEW klines",
            "CREATE TABLE other AS SELECT 1",
            "COPY (SELECT 1) TO 'out.csv'",
            "ATTACH 'other.db'",
            "SET TimeZone = 'Asia/Tokyo'",
            "SELECT 1; DELETE FROM klines",
            "SELECT * FROM read_text('/etc/hostname')",
            "SELECT * FROM '/etc/hostname'",
            "SELECT * FROM connection",
            "SELECT no_such_column FROM klines",
            "SELEC 1",
            "",
        ],
    )
    def test_sql_that_is_not_one_select_over_the_tables_is_refused(self, store: Store, sql: str) -> None:
        with pytest.raises(UsageError, match=r"^SQL: ") as refusal:
            store.query(sql)
        assert "\n" not in str(refusal.value)

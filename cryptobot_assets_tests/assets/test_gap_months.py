"""The ledger's months and their mending: what is lost is found, and comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.assets.gap_months import read_market, write_month
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.errors import ExchangeError, ExchangeUnreachable, StoreError
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.gap_records import rewrite_gaps
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import COVERAGE, GAPS, INDICATORS, KLINES, LISTINGS, Table
from cryptobot_assets_tests.assets.gap_market import (
    DELISTED,
    END,
    EXCHANGES_OWN,
    FIRST,
    HALT,
    LISTED,
    MONTHS,
    NAMES,
    OUTAGE,
    TABLES,
    Place,
)  # fmt: skip

THIRD = datetime(2025, 1, 3, tzinfo=UTC)


@pytest.fixture
def fresh(ingested: Place, tmp_path: Path) -> Place:
    return ingested.copy(tmp_path)


@pytest.fixture
def place(repaired: Place, tmp_path: Path) -> Place:
    return repaired.copy(tmp_path)


def assert_same(tables: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> None:
    for name, rows in expected.items():
        assert_frame_equal(tables[name], rows, check_exact=True)


def missing(place: Place) -> int:
    """Klines that the ledger finds missing on our side, as it tells and as it stores."""
    told = sum(month.coverage["missing"].sum() for month in place.look().values())
    assert told == place.lake.read(GAPS).filter(kind="missing")["missing"].sum()
    return told


def test_every_gap_is_classed_and_the_halt_only_when_asked_for_again(fresh: Place):
    fresh.look()
    assert fresh.kinds() == {(*gap[:3], "missing" if gap[3] == "halt" else gap[3]) for gap in EXCHANGES_OWN}
    (halted,) = fresh.mend()
    assert halted.klines.is_empty() and halted.indicators.is_empty()
    assert halted.unanswered.rows() == [("ETHUSDT", *HALT, 4, "halt")]
    assert fresh.kinds() == EXCHANGES_OWN


def test_coverage_says_what_was_to_be_expected_of_each_day(repaired: Place):
    rows = repaired.lake.read(COVERAGE)
    stored = repaired.lake.read(KLINES).group_by("currency", pl.col("time").dt.truncate("1d")).agg(held=pl.len())
    checked = rows.join(stored, on=["currency", "time"], how="left").with_columns(pl.col("held").fill_null(0))
    assert (checked["stored"] == checked["held"]).all()
    assert checked["held"].sum() == repaired.lake.read(KLINES).height
    assert rows["missing"].sum() == 0
    assert rows["outage"].sum() == 4 * 5
    assert rows.filter(currency="LTCUSDT")["not_listed"].sum() == (LISTED - FIRST) // HOUR
    assert rows.filter(currency="XRPUSDT")["delisted"].sum() == (END - DELISTED) // HOUR
    assert rows.filter(currency="BTCUSDT")["expected"].to_list() == [24] * ((END - FIRST) // DAY)


def test_looking_again_writes_nothing_and_asks_for_nothing(place: Place):
    before, versions = place.tables(), [place.lake.version(table) for table in TABLES]
    place.look()
    assert place.mend(History(Exchange("http://127.0.0.1:9"))) == []
    assert_same(place.tables(), before)
    assert [place.lake.version(table) for table in TABLES] == versions


LOSSES = {
    "an hour": (THIRD, THIRD + HOUR, "BTCUSDT"),
    "beside a halt": (HALT[0] - 2 * HOUR, HALT[1] + HOUR, "ETHUSDT"),
    "a day of everyone": (datetime(2024, 12, 9, tzinfo=UTC), datetime(2024, 12, 10, tzinfo=UTC), *NAMES),
    "a whole partition": (datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), "ETHUSDT"),
    "the first rows of a listing": (LISTED, LISTED + 30 * HOUR, "LTCUSDT"),
    "the newest rows": (END - 40 * HOUR, END, "BTCUSDT"),
    "the newest rows before the end": (DELISTED - 40 * HOUR, DELISTED, "XRPUSDT"),
    "across an outage and a month": (OUTAGE[0] - 3 * HOUR, OUTAGE[1] + 9 * HOUR, "LTCUSDT"),
}


def test_rows_lost_behind_the_platforms_back_are_found_and_mended(place: Place):
    before = place.tables()
    lost = [place.lose(*loss) for loss in LOSSES.values()]
    assert all(lost), LOSSES
    assert missing(place) == sum(lost)
    assert sum(one.klines.height for one in place.mend()) == sum(lost)
    assert_same(place.tables(), before)


def test_a_currency_lost_altogether_comes_back(place: Place):
    before = place.tables()
    lost = place.lose(FIRST, END, "XRPUSDT")
    assert missing(place) >= lost, "and whether it was delisted nobody can tell"
    assert sum(one.klines.height for one in place.mend()) == lost
    assert_same(place.tables(), before)


def test_indicators_made_of_the_hole_come_back_too(place: Place):
    before = place.tables()
    place.lose(THIRD + 4 * HOUR, THIRD + 2 * DAY + 9 * HOUR, "BTCUSDT")
    place.indicate("BTCUSDT")
    damaged, whole = place.lake.read(INDICATORS), before["indicators"]
    assert damaged.height < whole.height
    assert damaged.null_count().sum_horizontal().item() > whole.null_count().sum_horizontal().item()
    place.look()
    (mended,) = place.mend()
    assert_same(place.tables(), before)
    assert mended.indicators.height == 31 * 24 + 19 * 24, "from the first partition that lost something on"


def test_a_repair_killed_before_it_is_done_is_done_again(place: Place, monkeypatch: pytest.MonkeyPatch):
    before = place.tables()
    place.lose(THIRD, THIRD + DAY, "BTCUSDT", "ETHUSDT")
    place.indicate("BTCUSDT", "ETHUSDT")
    place.look()
    real, written = Lake.replace, []

    def die(lake: Lake, table: Table, *rows: object, **span: object) -> int:
        written.append(table.name)
        if table is KLINES:
            raise StoreError("killed")
        return real(lake, table, *rows, **span)

    monkeypatch.setattr(Lake, "replace", die)
    with pytest.raises(StoreError, match="killed"):
        place.mend()
    assert written == ["indicators", "klines"]
    monkeypatch.undo()
    place.look()
    place.mend()
    assert_same(place.tables(), before)


def test_rows_that_are_stored_stay_as_they_are(place: Place):
    time = THIRD + 5 * HOUR
    for hour in (time - HOUR, time + HOUR):
        place.lose(hour, hour + HOUR, "BTCUSDT")
    held = place.lake.read(KLINES, start=time, end=time + HOUR, currency="BTCUSDT")
    other = held.with_columns(volume=pl.lit(77.0))
    place.lake.replace(KLINES, other, start=time, end=time + HOUR, currency="BTCUSDT")
    place.look()
    assert [one.klines.height for one in place.mend()] == [2]
    assert_frame_equal(place.lake.read(KLINES, start=time, end=time + HOUR, currency="BTCUSDT"), other)


class Refusing(Exchange):
    """The exchange, which does not know one of the symbols any more."""

    def first_time(self, currency: str, interval: str) -> datetime | None:
        if currency == "ETHUSDT":
            raise ExchangeError("Invalid symbol.", status=400, code=-1121)
        return super().first_time(currency, interval)


def test_a_refusal_for_one_currency_is_told_and_the_others_mended(place: Place):
    place.lose(THIRD, THIRD + DAY, "BTCUSDT", "ETHUSDT")
    place.look()
    bitcoin, ether = place.mend(History(Refusing(place.url)))
    assert (bitcoin.klines.height, bitcoin.refusal) == (24, "")
    assert (ether.klines.height, ether.refusal) == (0, "ETHUSDT: Invalid symbol.")
    assert place.kinds() == EXCHANGES_OWN | {("ETHUSDT", THIRD, THIRD + DAY, "missing")}


def test_an_exchange_that_does_not_answer_confirms_nothing(place: Place):
    place.lose(THIRD, THIRD + DAY, "BTCUSDT")
    place.look()
    with pytest.raises(ExchangeUnreachable):
        place.mend(History(Exchange("http://127.0.0.1:9", retries=0)))
    assert missing(place) == 24


def test_what_was_never_ingested_is_not_missing(place: Place):
    december = datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    place.lose(*december, "BTCUSDT")
    rewrite_gaps(place.lake, *december, "1h", pl.DataFrame.clear, currency="BTCUSDT")
    market = read_market(place.lake, place.partitions, [])
    month = write_month(place.lake, market, *december)
    assert month.coverage["missing"].sum() == 0
    assert sorted(month.coverage["currency"].unique()) == [name for name in NAMES if name != "BTCUSDT"]
    before = write_month(place.lake, market, datetime(2024, 10, 1, tzinfo=UTC), FIRST)
    assert before.coverage.is_empty() and before.gaps.is_empty()


def test_the_list_of_listings_is_believed_before_the_record(place: Place):
    listing = {"base": "XRP", "quote": "USDT", "kind": "coin", "position": 3}
    row = pl.DataFrame({"currency": "XRPUSDT", "time": FIRST, "end": None, **listing}, schema=LISTINGS.schema)
    place.lake.replace(LISTINGS, row, start=None, end=None)
    place.look()
    assert ("XRPUSDT", DELISTED, END, "missing") in place.kinds(), "it trades, says the list: ask again"
    ended = row.with_columns(end=pl.lit(DELISTED, LISTINGS.schema["end"]))
    place.lake.replace(LISTINGS, ended, start=None, end=None)
    place.look()
    assert place.kinds() == EXCHANGES_OWN


def test_rows_beyond_one_a_key_are_counted(place: Place):
    row = place.lake.read(KLINES, start=THIRD, end=THIRD + HOUR, currency="BTCUSDT")
    twice = pl.concat([row, row.with_columns(time=pl.col("time") + timedelta(minutes=30))])
    twice.write_delta(str(place.folder / "klines"), mode="append")
    assert {key: month.surplus for key, month in place.look().items()} == dict.fromkeys(MONTHS, 0) | {"2025-01-01": 2}


def test_a_store_without_klines_has_no_ledger(tmp_path: Path, ingested: Place):
    assert read_market(Lake(str(tmp_path / "empty")), ingested.partitions, []) is None

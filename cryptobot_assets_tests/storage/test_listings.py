"""Listings over real sockets: who traded when, told by the exchange and by what its archives remember."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

from cryptobot_assets.domain.universe import Listing, updated
from cryptobot_assets.errors import ExchangeError, ExchangeUnreachable
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.storage import listings
from cryptobot_assets.storage.archive_index import ArchiveIndex
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.listings import ListingSource, read_listings, write_listings
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.storage.scripts import Script, Sleeps
from cryptobot_assets_tests.storage.universes import DAYS, LIVES, POSITIONS, clock_at, hour, make_universe

FAULTS = "500:0.05,reset:0.05,truncate:0.05,malformed:0.05,duplicate:0.05,disorder:0.05,lost:0.1,empty:0.03,seed=4"
NOBODY = "http://127.0.0.1:9"
Told = dict[str, list[tuple[datetime, datetime | None]]]


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "PAGE_DAYS", 50)
    monkeypatch.setattr(listings, "RECENT_DAYS", 20)


def make_source(url: str, index: str | None = None, *, retries: int = 6) -> ListingSource:
    exchange = Exchange(url, sleep=Sleeps(), retries=retries)
    return ListingSource(exchange, ArchiveIndex(index, sleep=Sleeps(), retries=retries) if index else None, "1h")


def look(source: ListingSource, held: list[Listing] | None = None, *only: str) -> list[Listing]:
    return updated(held or [], source.look(held or [], only).seen)


def spans_of(rows: list[Listing]) -> Told:
    told: Told = {}
    for one in rows:
        told.setdefault(one.currency, []).append((one.time, one.end))
    return told


def expected(until: int = 24 * DAYS) -> Told:
    """`LIVES` as they are known at an hour; archives tell whole days."""
    told = {}
    for name, lives in LIVES.items():
        begun = [(start, end) for start, end in lives if start < until]
        spans = [(hour(start), hour(end) if end + 24 <= until else None) for start, end in begun]
        if spans:
            told[name] = spans
    return told


@pytest.mark.parametrize("faults", [None, FAULTS])
def test_everyone_who_ever_traded_is_found_with_first_and_last_kline(make_exchange: MakeExchange, faults: str | None):
    url = make_exchange(make_universe(), faults=parse_faults(faults))
    rows = look(make_source(url, url))
    assert spans_of(rows) == expected()
    assert tuple(dict.fromkeys(one.currency for one in rows)) == POSITIONS
    assert {one.currency: one.kind for one in rows} == {
        **dict.fromkeys(LIVES, "coin"), "BTCUPUSDT": "leveraged", "PEGUSDT": "stable", "USDCUSDT": "stable",
    }  # fmt: skip
    assert {(one.base, one.quote) for one in rows if one.currency == "GONEUSDT"} == {("GONE", "USDT")}


def test_looking_again_finds_the_same_rows_and_asks_less(make_exchange: MakeExchange):
    url = make_exchange(make_universe())
    rows = look(make_source(url, url))
    source = make_source(url, url)
    asked: list[str] = []
    fetch = source.exchange.rows
    source.exchange.rows = lambda currency, *args, **query: asked.append(currency) or fetch(currency, *args, **query)
    assert look(source, rows) == rows
    trading = [name for name, lives in LIVES.items() if lives[-1][1] == 24 * DAYS]
    assert sorted(asked) == sorted(trading), "one request a currency that trades, none for the others"


def test_a_currency_taken_off_is_ended_a_day_later_and_kept_for_good(make_exchange: MakeExchange):
    market = make_universe()
    early, late = (make_exchange(market, clock=clock_at(24 * 40 + hours)) for hours in (20, 38))
    rows = look(make_source(early, early))
    assert spans_of(rows)["ENDUSDT"] == [(hour(0), None)]
    after = look(make_source(late, late), rows)
    assert spans_of(after)["ENDUSDT"] == [(hour(0), hour(24 * 40 + 13))]
    url = make_exchange(make_universe(without=["ENDUSDT"]))
    assert spans_of(look(make_source(url, url), after)) == expected()


def test_time_goes_by_and_each_look_sees_what_the_last_one_saw_at_once(make_exchange: MakeExchange):
    market = make_universe()
    rows: list[Listing] = []
    for day in (2, 20, 35, 45, 49, 66, 100, DAYS):
        url = make_exchange(market, clock=clock_at(24 * day))
        before, rows = rows, look(make_source(url, url), rows)
        assert {one.currency: one.position for one in before}.items() <= {
            one.currency: one.position for one in rows
        }.items()
    assert spans_of(rows) == expected()
    assert rows[-1].position == len(LIVES) - 1


def test_what_only_archives_remember_needs_them(make_exchange: MakeExchange):
    url = make_exchange(make_universe())
    rest = look(make_source(url))
    assert spans_of(rest) == {name: spans for name, spans in expected().items() if name != "GONEUSDT"}
    assert rest[-1].currency == "NEWUSDT"
    both = look(make_source(url, url), rest)
    assert spans_of(both) == expected()
    assert both[-1].currency == "GONEUSDT", "found later, placed last"


def test_a_directory_that_gives_no_answer_is_told_and_loses_nothing(make_exchange: MakeExchange):
    url = make_exchange(make_universe())
    rows = look(make_source(url, url))
    silent = make_source(url, NOBODY, retries=1)
    seen = silent.look(rows)
    assert updated(rows, seen.seen) == rows
    assert len(seen.notes) == 1 and "archive directory" in seen.notes[0]
    first = silent.look([])
    assert spans_of(updated([], first.seen)) == {k: v for k, v in expected().items() if k != "GONEUSDT"}


def test_a_currency_forgotten_while_it_was_held_as_trading_is_ended_by_its_files(make_exchange: MakeExchange):
    known = make_exchange(make_universe(forgotten=()), clock=clock_at(24 * 60))
    rows = look(make_source(known, known))
    assert spans_of(rows)["GONEUSDT"] == [(hour(72), None)]
    url = make_exchange(make_universe())
    silent = make_source(url, NOBODY, retries=1).look(rows)
    assert spans_of(updated(rows, silent.seen))["GONEUSDT"] == [(hour(72), None)]
    assert len(silent.notes) == 2 and any("GONEUSDT" in note for note in silent.notes)
    assert spans_of(look(make_source(url, url), rows))["GONEUSDT"] == [(hour(72), hour(24 * 70))]
    alone = look(make_source(url), rows)
    assert spans_of(alone)["GONEUSDT"] == [(hour(72), hour(24 * DAYS))], (
        "without archives: gone by the time of the look"
    )


def test_some_can_be_looked_at_alone(make_exchange: MakeExchange):
    url = make_exchange(make_universe())
    rows = look(make_source(url, NOBODY), [], "ENDUSDT", "NEWUSDT")
    assert spans_of(rows) == {name: expected()[name] for name in ("ENDUSDT", "NEWUSDT")}
    more = look(make_source(url, url), rows, "GONEUSDT")
    assert spans_of(more).keys() == {"ENDUSDT", "NEWUSDT", "GONEUSDT"}
    assert more[:2] == rows
    assert [one.currency for one in look(make_source(url, url), more)][:3] == ["ENDUSDT", "NEWUSDT", "GONEUSDT"]


def test_an_exchange_that_gives_no_answer_is_an_error():
    with pytest.raises(ExchangeUnreachable):
        make_source(NOBODY, retries=0).look([])


def test_listings_are_stored_and_read_as_they_were(tmp_path: Path, make_exchange: MakeExchange):
    url = make_exchange(make_universe())
    rows = look(make_source(url, url))
    lake = Lake(str(tmp_path / "lake"))
    assert read_listings(lake) == []
    for _ in range(2):
        write_listings(lake, rows)
        assert read_listings(lake) == rows


def document(*names: str, more: bool = False, marker: str = "") -> bytes:
    keys = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in names)
    following = f"<NextMarker>{marker}</NextMarker>" if marker else ""
    return (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{following}{keys}</ListBucketResult>"
    ).encode()


def test_days_come_from_daily_files_and_where_a_month_has_none_from_its_own(serve: Callable[[Script], str]):
    folder = "data/spot/{}/klines/OLDUSDT/1h/OLDUSDT-1h-"
    daily, monthly = folder.format("daily"), folder.format("monthly")
    script = Script(**{"": [
        (200, {}, document(f"{daily}2020-03-02.zip", f"{daily}2020-03-02.zip.CHECKSUM", more=True)),
        (200, {}, document(f"{daily}2020-03-03.zip", f"{daily}index.html")),
        (200, {}, document(f"{monthly}2020-02.zip", f"{monthly}2020-03.zip", f"{monthly}2020-02.zip.CHECKSUM")),
    ]})  # fmt: skip
    days = ArchiveIndex(serve(script)).days("OLDUSDT", "1h")
    assert days == [*(date(2020, 2, day) for day in range(1, 30)), date(2020, 3, 2), date(2020, 3, 3)]
    assert [query.get("marker", "") for _, query in script.asked] == ["", f"{daily}2020-03-02.zip.CHECKSUM", ""]


@pytest.mark.parametrize("answer", [document("a", more=True, marker="a"), document("b", more=True)])
def test_a_directory_that_repeats_itself_is_an_error(serve: Callable[[Script], str], answer: bytes):
    script = Script(**{"": [(200, {}, answer)]})
    with pytest.raises(ExchangeError, match="again and again"):
        ArchiveIndex(serve(script)).currencies()


@pytest.mark.parametrize(
    "answer", [b"<html></html>", b"not xml", document(more=True), b'{"code": -1}', b""], ids=range(5)
)
def test_what_is_no_directory_is_asked_for_again_and_then_an_error(serve: Callable[[Script], str], answer: bytes):
    script = Script(**{"": [(200, {}, answer), (200, {}, document("data/spot/monthly/klines/XUSDT/"))]})
    assert ArchiveIndex(serve(script), sleep=Sleeps()).currencies() == {"XUSDT"}
    with pytest.raises(ExchangeUnreachable):
        ArchiveIndex(serve(Script(**{"": [(200, {}, answer)]})), retries=2, sleep=Sleeps()).currencies()

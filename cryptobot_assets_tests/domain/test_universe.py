"""The universe over time: nobody delisted is forgotten, nobody is there before the first kline, places are for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptobot_assets.domain.features import DEFAULT_FEATURES, lookback
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.domain.universe import (
    EVIDENCE_DAYS,
    KINDS,
    LONGEST_PAUSE,
    Listing,
    Seen,
    keeps_to_one,
    kind_of_name,
    listed_before,
    listed_parts,
    tradable,
    trading_runs,
    updated,
)

START = datetime(2022, 1, 1, tzinfo=UTC)
NAMES = ("AUSDT", "BUSDT", "CUSDT", "DUSDT")


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def make_listing(currency: str, start: float, end: float | None, *, kind: str = "coin", position: int = 0) -> Listing:
    return Listing(
        currency=currency, time=at(start), end=None if end is None else at(end), base=currency.removesuffix("USDT"),
        quote="USDT", kind=kind, position=position,
    )  # fmt: skip


def make_seen(currency: str, *spans: tuple[float, float | None], kind: str | None = "coin") -> Seen:
    ends = tuple((at(start), None if end is None else at(end)) for start, end in spans)
    return Seen(currency=currency, base=currency.removesuffix("USDT"), quote="USDT", kind=kind, spans=ends)


def test_what_was_tradable_then_includes_what_is_delisted_now():
    listings = [
        make_listing("NEWUSDT", 100, None, position=3),
        make_listing("GONEUSDT", 0, 50, position=1),
        make_listing("OLDUSDT", 0, None, position=0),
        make_listing("USDCUSDT", 0, None, kind="stable", position=2),
    ]
    assert tradable(listings, at(10)) == ("OLDUSDT", "GONEUSDT", "USDCUSDT")
    assert tradable(listings, at(10), {"coin"}) == ("OLDUSDT", "GONEUSDT")
    assert tradable(listings, at(50), {"coin"}) == ("OLDUSDT",), "an end is the first instant without it"
    assert tradable(listings, at(99.999), {"coin"}) == ("OLDUSDT",)
    assert tradable(listings, at(100), {"coin"}) == ("OLDUSDT", "NEWUSDT")
    assert tradable(listings, at(-1)) == ()
    assert listed_before(listings, at(100), {"coin"}) == ("OLDUSDT", "GONEUSDT")


def test_a_symbol_that_became_another_coin_is_tradable_in_both_lives_and_not_between():
    lives = [make_listing("LUNAUSDT", 0, 100, position=5), make_listing("LUNAUSDT", 117, None, position=5)]
    assert [tradable(lives, at(day)) for day in (99, 110, 117)] == [("LUNAUSDT",), (), ("LUNAUSDT",)]
    assert listed_before(lives, at(500)) == ("LUNAUSDT",)
    assert listed_parts(lives, Span("LUNAUSDT", at(90), at(120))) == [
        Span("LUNAUSDT", at(90), at(100)),
        Span("LUNAUSDT", at(117), at(120)),
    ]
    assert listed_parts(lives, Span("LUNAUSDT", at(101), at(116))) == []


def test_a_span_of_an_unknown_currency_is_left_whole():
    span = Span("BTCUSDT", at(0), at(1))
    assert listed_parts([make_listing("ETHUSDT", 5, None)], span) == [span]


@given(st.sets(st.integers(0, 60), min_size=1))
def test_runs_of_days_hold_every_day_and_no_long_hole(numbers: set[int]):
    days = [date(2022, 1, 1) + timedelta(days=number) for number in sorted(numbers)]
    runs = trading_runs(days)
    assert [day for day in days if not any(first <= day <= last for first, last in runs)] == []
    assert {edge for run in runs for edge in run} <= set(days)
    assert all(after[0] - before[1] > LONGEST_PAUSE for before, after in pairwise(runs))
    for first, last in runs:
        inside = [day for day in days if first <= day <= last]
        assert all(later - day <= LONGEST_PAUSE for day, later in pairwise(inside))
    assert trading_runs([]) == []


BASES = {"BTC", "ETH", "BNB", "XRP", "1INCH", "JUP", "SUPER", "J", "S", "SYRUP", "PUMP", "EOS"}


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        ("leveraged", ("BTCUP", "BTCDOWN", "ETHBULL", "EOSBEAR", "1INCHUP", "XRPDOWN", "BULL", "BEAR")),
        ("coin", ("BTC", "JUP", "SUPER", "SYRUP", "PUMP", "SUP", "UP", "DOWN", "USTED", "WLD", "DOGEUP", "EURO")),
        ("stable", ("USDC", "FDUSD", "TUSD", "DAI", "EUR", "TRY", "UST")),
        ("wrapped", ("WBTC", "WBETH", "STETH")),
    ],
)
def test_kinds_are_told_by_name(kind: str, bases: tuple[str, ...]):
    assert {base: kind_of_name(base, BASES) for base in bases} == dict.fromkeys(bases, kind)


def test_a_stablecoin_without_a_known_name_is_told_by_its_first_days_alone():
    steady = [1.0 + 0.002 * (-1) ** day for day in range(EVIDENCE_DAYS)]
    assert keeps_to_one(steady) is True
    assert keeps_to_one([*steady, 0.5, 0.01]) is True, "what came later is not looked at"
    assert keeps_to_one(steady[:-1]) is None
    assert keeps_to_one([*steady[:-1], 1.04]) is False
    assert keeps_to_one([1.0 + 0.011 * (-1) ** day for day in range(EVIDENCE_DAYS)]) is False
    assert keeps_to_one([300.0] * EVIDENCE_DAYS) is False


def test_places_are_given_by_first_kline_then_name_and_to_newcomers_after_all_others():
    first = updated([], [make_seen("CUSDT", (0, None)), make_seen("BUSDT", (5, None)), make_seen("AUSDT", (5, 9))])
    assert [(one.currency, one.position) for one in first] == [("CUSDT", 0), ("AUSDT", 1), ("BUSDT", 2)]
    later = updated(first, [make_seen("ZUSDT", (2, None)), make_seen("CUSDT", (0, 30))])
    assert [(one.currency, one.position) for one in later] == [("CUSDT", 0), ("AUSDT", 1), ("BUSDT", 2), ("ZUSDT", 3)]
    assert (later[0].end, later[1]) == (at(30), first[1])


def test_a_currency_back_after_a_week_is_another_listing_in_the_same_place():
    held = updated([], [make_seen("LUNAUSDT", (0, None)), make_seen("BUSDT", (0, None))])
    ended = updated(held, [make_seen("LUNAUSDT", (0, 100))])
    back = updated(ended, [make_seen("LUNAUSDT", (117, None))])
    assert [(one.currency, one.time, one.end, one.position) for one in back] == [
        ("BUSDT", at(0), None, 0),
        ("LUNAUSDT", at(0), at(100), 1),
        ("LUNAUSDT", at(117), None, 1),
    ]
    assert updated(held, [make_seen("LUNAUSDT", (0, 100), (117, None))]) == back, "seen in one look"
    resumed = updated(ended, [make_seen("LUNAUSDT", (103, None))])
    assert resumed == held, "a pause of days is no other listing"


def test_a_first_kline_known_to_the_minute_is_kept_when_only_its_day_is_seen():
    held = [replace(make_listing("AUSDT", 0.4, None), position=0)]
    (seen,) = updated(held, [make_seen("AUSDT", (0, 20))])
    assert (seen.time, seen.end) == (at(0.4), at(20))
    (earlier,) = updated(held, [make_seen("AUSDT", (-3, 20))])
    assert earlier.time == at(-3)


def test_a_kind_is_kept_until_it_can_be_judged_anew():
    held = updated([], [make_seen("AUSDT", (0, None), kind="stable"), make_seen("BUSDT", (0, None), kind=None)])
    assert [one.kind for one in held] == ["stable", "coin"]
    again = updated(held, [make_seen("AUSDT", (0, None), kind=None), make_seen("BUSDT", (0, None), kind="stable")])
    assert [one.kind for one in again] == ["stable", "stable"]


@st.composite
def looks(draw: st.DrawFn) -> list[Seen]:
    """One look at some of a few currencies, each with spans apart by more than a pause."""
    seen = []
    for name in draw(st.sets(st.sampled_from(NAMES))):
        edges = sorted(draw(st.sets(st.integers(0, 30), min_size=1, max_size=4)))
        spans = [(20.0 * first, 20.0 * last) for first, last in zip(edges[::2], edges[1::2], strict=False)]
        if len(edges) % 2 or not spans:
            spans.append((20.0 * edges[-1] + 10, None))
        seen.append(make_seen(name, *spans, kind=draw(st.sampled_from([None, *KINDS]))))
    return seen


@settings(max_examples=200, deadline=None)
@given(st.lists(looks(), max_size=5))
def test_looking_never_loses_a_listing_nor_moves_a_place(every: list[list[Seen]]):
    rows: list[Listing] = []
    for seen in every:
        after = updated(rows, seen)
        assert updated(after, seen) == after, "seeing the same again changes nothing"
        places = {one.currency: one.position for one in after}
        assert all(one.position == places[one.currency] for one in after), "a currency has one place"
        assert sorted(places.values()) == list(range(len(places))), "a place has one currency"
        assert all(places[one.currency] == one.position for one in rows), "places stay"
        for row in rows:
            own = [one for one in after if one.currency == row.currency]
            assert row in own or row.currency in {one.currency for one in seen}, "what was not seen is as it was"
            assert any(one.time <= row.time for one in own)
            assert len(own) >= sum(one.currency == row.currency for one in rows)
        assert len({(one.currency, one.time) for one in after}) == len(after)
        rows = after


def test_listings_that_overlap_are_fetched_once():
    rows = [make_listing("AUSDT", 0, 10), make_listing("AUSDT", 5, None)]
    parts = listed_parts(rows, Span("AUSDT", at(-5), at(20)))
    assert parts == [Span("AUSDT", at(0), at(10)), Span("AUSDT", at(10), at(20))]


def test_evidence_is_complete_before_the_first_row_that_could_use_it():
    assert timedelta(days=EVIDENCE_DAYS) <= lookback(DEFAULT_FEATURES)

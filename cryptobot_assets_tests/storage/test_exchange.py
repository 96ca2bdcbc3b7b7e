"""The REST client, over real sockets: the project's own exchange, and a scripted one for what it cannot do."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from socket import create_server

import polars as pl
import pytest

from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.errors import BadKlines, ExchangeError, ExchangeUnreachable, RateLimited
from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.exchange.limits import WeightLimiter
from cryptobot_assets.exchange.market import Market, Series
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.http import Http
from cryptobot_assets.storage.weight import Budget
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import MINUTE_MS, START_MS, make_market, make_series
from cryptobot_assets_tests.storage.scripts import Script, Sleeps, ok, on_clock_of

START = datetime.fromtimestamp(START_MS / 1000, UTC)
MINUTE = timedelta(minutes=1)


def minutes_after(count: int) -> datetime:
    return START + count * MINUTE


def fetch(exchange: Exchange, count: int, *, first: int = 0, currency: str = "BTCUSDT") -> pl.DataFrame:
    pages = list(exchange.klines(currency, "1m", minutes_after(first), minutes_after(count)))
    return pl.concat(pages) if pages else pl.DataFrame(schema=KLINE_SCHEMA)


# Against the project's own exchange


@pytest.mark.parametrize(
    ("count", "sizes"), [(999, [999]), (1000, [1000]), (1001, [1000, 1]), (2500, [1000, 1000, 500])]
)
def test_pages_hold_every_kline_once_and_in_order(make_exchange: MakeExchange, count: int, sizes: list[int]):
    exchange = Exchange(make_exchange(make_market(count=3000)))
    pages = list(exchange.klines("BTCUSDT", "1m", START, minutes_after(count)))
    assert [page.height for page in pages] == sizes
    rows = pl.concat(pages)
    assert rows.schema == pl.Schema(KLINE_SCHEMA)
    assert rows["time"].to_list() == [minutes_after(n) for n in range(count)]
    series = make_series(count)
    for name in ("open", "high", "low", "close", "volume"):
        assert rows[name].to_numpy() == pytest.approx(getattr(series, name), rel=1e-8)
    assert rows["currency"].unique().to_list() == ["BTCUSDT"]


def test_ranges_hold_their_start_and_not_their_end(make_exchange: MakeExchange):
    rows = fetch(Exchange(make_exchange(make_market())), 1700, first=3)
    assert (rows["time"][0], rows["time"][-1], rows.height) == (minutes_after(3), minutes_after(1699), 1697)
    assert fetch(Exchange(make_exchange(make_market())), 5, first=5).is_empty()


def test_a_hole_longer_than_a_page_is_stepped_over(make_exchange: MakeExchange):
    series = make_series(4000)
    kept = [*range(1500), *range(3200, 4000)]
    holed = Series(**{name: column[kept] for name, column in series.columns.items()})
    rows = fetch(Exchange(make_exchange(make_market({"BTCUSDT": holed}))), 4000)
    assert rows["time"].to_list() == [minutes_after(n) for n in kept]


@pytest.mark.parametrize(("past_ms", "finished"), [(0, 10), (1, 10), (30_000, 10), (59_999, 10), (60_000, 11)])
def test_the_unfinished_kline_is_never_given(make_exchange: MakeExchange, past_ms: int, finished: int):
    url = make_exchange(make_market(count=100), clock=fixed_clock(START_MS + 10 * MINUTE_MS + past_ms))
    exchange = Exchange(url)
    rows = fetch(exchange, 100)
    assert rows.height == finished
    assert exchange.last_finished("1m") == minutes_after(finished)
    assert exchange.last_finished("1h") == START
    assert fetch(exchange, 100, first=finished).is_empty()


def test_the_source_says_replay_where_the_server_does(make_exchange: MakeExchange):
    replayed = Exchange(make_exchange(make_market(count=10)))
    simulated = Market(label="simulated", interval="1m", series={"BTCUSDT": make_series(10)}, detail="seed=1")
    made_up = Exchange(make_exchange(simulated))
    assert fetch(replayed, 10)["source"].unique().to_list() == ["replay"]
    assert fetch(made_up, 10)["source"].unique().to_list() == ["rest"]
    assert (replayed.market, made_up.market) == ("replay", "simulated seed=1")


def test_listings_and_first_times_are_read(make_exchange: MakeExchange):
    later = make_series(50, start_ms=START_MS + 40 * MINUTE_MS)
    market = make_market({"BTCUSDT": make_series(90), "ETHUSDT": later})
    exchange = Exchange(make_exchange(market))
    assert {(one.name, one.quote, one.trading) for one in exchange.symbols()} == {
        ("BTCUSDT", "USDT", True),
        ("ETHUSDT", "USDT", True),
    }
    assert exchange.first_time("ETHUSDT", "1m") == minutes_after(40)
    assert exchange.server_time() == minutes_after(90)


def test_an_unknown_symbol_is_an_error_the_exchange_means(make_exchange: MakeExchange):
    sleeps = Sleeps()
    with pytest.raises(ExchangeError, match="for NOPEUSDT: Invalid symbol") as refusal:
        fetch(Exchange(make_exchange(make_market(count=10)), sleep=sleeps), 10, currency="NOPEUSDT")
    assert (refusal.value.code, refusal.value.status) == (-1121, 400)
    assert not isinstance(refusal.value, ExchangeUnreachable | RateLimited)
    assert sleeps == []


@pytest.mark.parametrize(
    "faults",
    [
        "reset:0.4",
        "timeout:0.4,hang=0.02",
        "truncate:0.4",
        "malformed:0.4",
        "500:0.2,502:0.1,503:0.1,504:0.1",
        "429:0.4",
        "418:0.4",
        "duplicate:0.2",
        "disorder:0.2",
        "offgrid:0.2",
        "inverted:0.2",
        "nonfinite:0.2",
        "short:0.4",
    ],
)
def test_faults_that_pass_cost_no_kline(make_exchange: MakeExchange, faults: str):
    sleeps = Sleeps()
    url = make_exchange(make_market(), faults=parse_faults(f"{faults},retry_after=3,seed=4"))
    exchange = Exchange(url, retries=20, **on_clock_of(sleeps, url))
    for first in range(0, 3000, 600):
        assert fetch(exchange, first + 600, first=first).height == 600
    assert sleeps
    if faults.startswith("4"):
        assert set(sleeps) == {3.0}


def test_a_currency_is_believed_to_be_unlisted_when_that_is_said_twice(make_exchange: MakeExchange):
    url = make_exchange(make_market(count=100), faults=parse_faults("empty:1"))
    assert Exchange(url).first_time("BTCUSDT", "1m") == minutes_after(0)


@pytest.mark.parametrize("seed", range(3))
def test_rows_lost_on_the_way_are_asked_for_once_more(make_exchange: MakeExchange, seed: int):
    """Some answers lack rows at their beginning, inside, at their end, or all of them."""
    url = make_exchange(make_market(count=12_000), faults=parse_faults(f"lost:0.1,empty:0.03,seed={seed}"))
    assert fetch(Exchange(url), 12_000)["time"].to_list() == [minutes_after(n) for n in range(12_000)]


@pytest.mark.parametrize("mode", ["duplicate", "disorder", "offgrid", "inverted", "nonfinite"])
def test_rows_that_cannot_be_are_refused(make_exchange: MakeExchange, mode: str):
    url = make_exchange(make_market(count=200), faults=parse_faults(f"{mode}:1"))
    with pytest.raises(BadKlines) as refusal:
        fetch(Exchange(url, sleep=Sleeps()), 200)
    assert "BTCUSDT" in str(refusal.value)


def test_a_clock_that_is_late_gives_what_is_finished_later(make_exchange: MakeExchange):
    market, now = make_market(count=100), fixed_clock(START_MS + 10 * MINUTE_MS + 30_000)
    late = Exchange(make_exchange(market, clock=now, faults=parse_faults("skew:-150")))
    assert fetch(late, 100)["time"].to_list() == [minutes_after(n) for n in range(8)]


@pytest.mark.parametrize("past_ms", [58_900, 59_000, 59_999])
@pytest.mark.parametrize("skew", ["1.2", "29", "90", "86400"])
def test_a_clock_that_is_early_passes_off_no_kline_as_finished(make_exchange: MakeExchange, skew: str, past_ms: int):
    """The answer's date tells; it counts whole seconds."""
    market, now = make_market(count=100), fixed_clock(START_MS + 10 * MINUTE_MS + past_ms)
    early = Exchange(make_exchange(market, clock=now, faults=parse_faults(f"skew:{skew}")))
    assert fetch(early, 100)["time"].to_list() == [minutes_after(n) for n in range(10)]


@pytest.mark.parametrize("days", [-400, 400])
def test_this_machines_clock_may_be_wrong(make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch, days: int):
    url = make_exchange(make_market(count=100), clock=fixed_clock(START_MS + 10 * MINUTE_MS))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * 86_400)
    assert fetch(Exchange(url), 100).height == 10


@pytest.mark.parametrize("share", ["0.01", "0.5", "0.99"])
def test_an_unfinished_kline_is_not_taken_however_far_it_has_come(make_exchange: MakeExchange, share: str):
    url = make_exchange(make_market(count=100), faults=parse_faults(f"unfinished:{share}"))
    assert fetch(Exchange(url), 100).height == 99


def test_rows_that_lack_fields_are_no_usable_answer(make_exchange: MakeExchange):
    url = make_exchange(make_market(count=200), faults=parse_faults("short:1"))
    with pytest.raises(ExchangeUnreachable, match="gave no usable answer"):
        fetch(Exchange(url, sleep=Sleeps(), retries=2), 200)


def test_the_weight_is_kept_under_the_limit(make_exchange: MakeExchange):
    """60 pages of weight 2 in minutes that bear 100: the client waits, and is never refused."""
    sleeps = Sleeps()
    url = make_exchange(make_market(), limiter=WeightLimiter(per_minute=100, patience=0, seconds=sleeps.seconds))
    exchange = Exchange(url, **on_clock_of(sleeps, url))
    for first in range(60):
        assert fetch(exchange, first + 5, first=first).height == 5
    assert len(sleeps) == 2
    assert all(0 < seconds <= 66 for seconds in sleeps)


def test_others_behind_the_same_address_count(make_exchange: MakeExchange):
    """Somebody else uses most of the minute: the client hears of it, and is never refused."""
    sleeps = Sleeps()
    url = make_exchange(make_market(), limiter=WeightLimiter(per_minute=200, patience=0, seconds=sleeps.seconds))
    exchange = Exchange(url, **on_clock_of(sleeps, url))
    assert fetch(exchange, 5).height == 5
    stranger = Http(url, budget=Budget("http://another.machine"), sleep=Sleeps())
    for _ in range(7):
        stranger.get("/api/v3/exchangeInfo", {}, decode=bytes)
    for first in range(10):
        assert fetch(exchange, first + 5, first=first).height == 5
    assert len(sleeps) == 1, "the rest of that minute"


# Against a scripted one


def wire(minute: int) -> list:
    opened = START_MS + minute * MINUTE_MS
    return [opened, "1.0", "2.0", "0.5", "1.5", "3.0", opened + 59_999, "4.5", 7, "1.0", "1.5", "0"]


LISTING = ok({"symbols": [], "rateLimits": []})
CLOCK = ok({"serverTime": START_MS + 5000 * MINUTE_MS})
ROWS = ok([wire(n) for n in range(3)])


def make_script(*pages: tuple[int, dict[str, str], bytes], **others: list) -> Script:
    return Script(**{"klines": list(pages) or [ROWS], "time": [CLOCK], "exchangeInfo": [LISTING], **others})


def test_every_column_of_the_wire_finds_its_place(serve):
    script = make_script()
    row = fetch(Exchange(serve(script)), 3).row(2, named=True)
    assert row == {
        "currency": "BTCUSDT", "time": minutes_after(2), "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5,
        "volume": 3.0, "quote_volume": 4.5, "trades": 7, "source": "rest",
    }  # fmt: skip
    asked = next(query for name, query in script.asked if name == "klines")
    assert asked == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "startTime": str(START_MS),
        "endTime": str(START_MS + 3 * MINUTE_MS - 1),
        "limit": "1000",
    }


def pages_asked(script: Script) -> list[tuple[int, int]]:
    """The ranges of klines that were asked for, in minutes, both ends included."""
    asked = [query for name, query in script.asked if name == "klines"]
    bounds = [(int(query["startTime"]), int(query["endTime"]) - MINUTE_MS + 1) for query in asked]
    return [tuple((bound - START_MS) // MINUTE_MS for bound in pair) for pair in bounds]


def test_a_short_page_does_not_end_a_span(serve):
    script = make_script(ok([wire(0), wire(1)]), ok([wire(2)]), ok([wire(3), wire(4)]))
    assert fetch(Exchange(serve(script)), 5)["time"].to_list() == [minutes_after(n) for n in range(5)]
    assert pages_asked(script) == [(0, 4), (2, 4), (3, 4)]


def test_an_answer_without_rows_is_asked_for_once_more(serve):
    script = make_script(ok([]), ROWS)
    assert fetch(Exchange(serve(script)), 3).height == 3
    script = make_script(ok([]))
    assert fetch(Exchange(serve(script)), 3).is_empty()
    assert pages_asked(script) == [(0, 2)] * 2


def test_holes_are_asked_for_once_more_and_then_believed(serve):
    """Minutes 1-2, 5 and 2000-6999 are not there; 5 comes at the second time of asking."""
    near = ok([wire(0), wire(3), wire(4), wire(6)])
    rest = ok([wire(n) for n in range(7, 1007)])
    more = [ok([wire(n) for n in range(1007, 2000)] + [wire(n) for n in range(7000, 7007)])]
    script = make_script(near, ok([wire(3), wire(4), wire(5)]), ok([]), rest, *more, ok([]))
    script.answers["time"] = [ok({"serverTime": START_MS + 7007 * MINUTE_MS})]
    rows = fetch(Exchange(serve(script)), 7007)
    assert rows["time"].to_list() == [minutes_after(n) for n in (0, *range(3, 2000), *range(7000, 7007))]
    assert pages_asked(script) == [(0, 7006), (1, 5), (1, 2), (7, 7006), (1007, 7006), (2000, 6999)]


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize(
    ("header", "wait"), [({"Retry-After": "137"}, 137.0), ({}, 1.0), ({"Retry-After": "soon"}, 1.0)]
)
def test_being_told_to_wait_is_obeyed(serve, status: int, header: dict[str, str], wait: float):
    sleeps = Sleeps()
    url = serve(make_script((status, header, b'{"code":-1003,"msg":"Too much"}'), ROWS))
    assert fetch(Exchange(url, **on_clock_of(sleeps, url)), 3).height == 3
    assert sleeps == [wait]


def test_being_told_to_wait_for_ever_is_an_error_that_carries_the_wait(serve):
    sleeps = Sleeps()
    url = serve(make_script((429, {"Retry-After": "9"}, b"{}")))
    with pytest.raises(RateLimited, match="asks to wait 9 s") as refusal:
        fetch(Exchange(url, retries=2, **on_clock_of(sleeps, url)), 3)
    assert (refusal.value.status, refusal.value.retry_after_seconds) == (429, 9.0)
    assert sleeps == [9.0, 9.0]


@pytest.mark.parametrize("name", ["klines", "time", "exchangeInfo"])
@pytest.mark.parametrize(
    "answer", [(200, {}, b'[[17, "1'), (200, {}, b"<html>"), (200, {}, b'{"a": 1}'), (500, {}, b""), (503, {}, b"{}")]
)
def test_an_answer_that_cannot_be_read_is_asked_for_again(serve, name: str, answer: tuple):
    sleeps = Sleeps()
    whole = {"klines": ROWS, "time": CLOCK, "exchangeInfo": LISTING}[name]
    script = make_script(**{name: [answer, answer, whole]})
    exchange = Exchange(serve(script), sleep=sleeps)
    assert fetch(exchange, 3).height == 3
    assert sleeps == [0.2, 0.4]


def test_pauses_grow_and_end_in_one_clear_line(serve):
    sleeps = Sleeps()
    with pytest.raises(ExchangeUnreachable, match="HTTP 503") as refusal:
        fetch(Exchange(serve(make_script((503, {}, b""))), sleep=sleeps), 3)
    assert sleeps == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
    assert "\n" not in str(refusal.value)


def test_nobody_there_is_one_clear_line():
    with closing(create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    sleeps = Sleeps()
    exchange = Exchange(f"http://127.0.0.1:{port}/", sleep=sleeps, retries=3)
    with pytest.raises(ExchangeUnreachable, match=f"http://127.0.0.1:{port} gave no usable answer: nothing answers"):
        exchange.server_time()
    assert len(sleeps) == 3


def test_a_server_that_says_nothing_is_given_up(serve):
    with closing(create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ExchangeUnreachable, match="did not answer in time"):
            Exchange(url, timeout_seconds=0.1, retries=1, sleep=Sleeps()).server_time()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(("status", "body"), [(403, b"<html>"), (451, b'{"code":0,"msg":"restricted location"}')])
def test_a_refusal_is_not_asked_again(serve, status: int, body: bytes):
    sleeps = Sleeps()
    with pytest.raises(ExchangeError, match="restricted location" if status == 451 else "HTTP 403") as refusal:
        fetch(Exchange(serve(make_script((status, {}, body))), sleep=sleeps), 3)
    assert refusal.value.status == status
    assert sleeps == []


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([wire(0), wire(0)], "out of order, twice"),
        ([wire(1), wire(0)], "out of order, twice"),
        ([wire(-1), wire(0)], "outside the range"),
        ([wire(2), wire(3)], "outside the range"),
        ([[START_MS + 1, *wire(0)[1:]]], "a time on the 1m grid"),
        ([[*wire(0)[:2], "1.2", *wire(0)[3:]]], "high >= "),
        ([[*wire(0)[:4], "NaN", *wire(0)[5:]]], "prices and a volume"),
        ([[*wire(0)[:4], "dear", *wire(0)[5:]]], "no number"),
    ],
)
def test_rows_other_than_asked_for_are_refused(serve, rows: list, rule: str):
    with pytest.raises(BadKlines, match=rule):
        fetch(Exchange(serve(make_script(ok(rows))), sleep=Sleeps()), 3)


def test_a_server_that_repeats_a_full_page_does_not_hold_the_client_for_ever(serve):
    page = ok([wire(n) for n in range(1000)])
    with pytest.raises(BadKlines, match="outside the range"):
        fetch(Exchange(serve(make_script(page)), sleep=Sleeps()), 3000)


def test_the_limit_is_read_from_the_exchange(serve):
    limits = [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 1},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 2, "limit": 200},
    ]
    listing = [ok({"symbols": [], "rateLimits": limits})]
    for used, waits in (("70", 0), ("71", 1)):
        sleeps = Sleeps()
        page = ok([wire(n) for n in range(3)], **{"X-MBX-USED-WEIGHT-1M": used})
        script = make_script(page, exchangeInfo=listing)
        url = serve(script)
        exchange = Exchange(url, **on_clock_of(sleeps, url))
        fetch(exchange, 3)
        exchange.symbols()
        assert len(sleeps) == waits
        assert all(0 < seconds <= 60 for seconds in sleeps)
        assert [name for name, _ in script.asked].count("exchangeInfo") == 2

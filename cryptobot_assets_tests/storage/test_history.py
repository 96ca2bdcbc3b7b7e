"""History: archives and REST in one, whatever is missing of either."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import datetime, timedelta
from socket import create_server

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.domain.sources import Span, month_blocks
from cryptobot_assets.errors import ExchangeUnreachable
from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.exchange.market import Series, to_ms
from cryptobot_assets.exchange.server import make_app, start
from cryptobot_assets.progress import Silent
from cryptobot_assets.storage.archive import Archive
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.history import Fetched, History
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market, make_series
from cryptobot_assets_tests.storage.archives import DECEMBER, FEBRUARY, JANUARY, MISSING, make_past
from cryptobot_assets_tests.storage.scripts import Script, Sleeps, on_clock_of

DAY = timedelta(days=1)
START = DECEMBER - 2 * DAY
NOW = JANUARY + 9 * DAY + timedelta(hours=7, minutes=30)


class Counted(Silent):
    """Progress that adds up."""

    def __init__(self) -> None:
        self.rows = 0

    def advance(self, stage: str, *, steps: float = 0, rows: int = 0, note: str = "") -> None:
        self.rows += rows


def fetch(history: History, *spans: Span, interval: str = "1m") -> list[Fetched]:
    progress = Counted()
    fetched = list(history.fetch(spans, interval, progress))
    assert progress.rows == sum(one.rows.height for one in fetched)
    return fetched


def whole(currency: str = "BTCUSDT", start: datetime = START, end: datetime = JANUARY + 10 * DAY) -> Span:
    return Span(currency, start, end)


def values(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop("source")


def sources(rows: pl.DataFrame) -> dict[str, int]:
    return dict(rows["source"].value_counts().iter_rows())


@pytest.fixture(scope="module")
def market():
    """Minutes across a change of year and of unit, until after January's first Monday."""
    return make_past(JANUARY + 10 * DAY, interval="1m", start=START)


@pytest.fixture
def clock():
    return fixed_clock(to_ms(NOW))


@pytest.fixture(scope="module")
def undisturbed(_exchange_loop, market) -> pl.DataFrame:
    """The klines over REST alone."""
    app = make_app(market, clock=fixed_clock(to_ms(NOW)))
    runner, url = asyncio.run_coroutine_threadsafe(start(app), _exchange_loop).result(60)
    [fetched] = fetch(History(Exchange(url)), whole())
    asyncio.run_coroutine_threadsafe(runner.cleanup(), _exchange_loop).result(60)
    assert sources(fetched.rows) == {"replay": fetched.rows.height}
    return fetched.rows


def test_archives_and_rest_give_the_same_klines(make_exchange: MakeExchange, market, clock, undisturbed):
    url = make_exchange(market, clock=clock)
    [fetched] = fetch(History(Exchange(url), Archive(url)), whole())
    assert_frame_equal(values(fetched.rows), values(undisturbed), check_exact=True)
    assert sources(fetched.rows) == {"archive": (2 + 31 + 9) * 1440, "replay": 7 * 60 + 30}
    assert fetched.rows.filter(pl.col("source") == "replay")["time"][0] == JANUARY + 9 * DAY
    assert fetched.fallbacks == []
    assert (fetched.start, fetched.end) == (START, NOW)


def test_spans_cut_between_months_give_the_same_klines(make_exchange: MakeExchange, market, clock, undisturbed):
    url = make_exchange(market, clock=clock)
    spans = [whole(end=DECEMBER), *month_blocks(whole(start=DECEMBER), 62)]
    fetched = fetch(History(Exchange(url), Archive(url)), *spans)
    assert [one.span for one in fetched] == spans
    assert_frame_equal(values(pl.concat(one.rows for one in fetched)), values(undisturbed), check_exact=True)


@pytest.mark.parametrize("now", [JANUARY, JANUARY + 5 * DAY])
def test_a_month_not_yet_due_comes_by_the_day(make_exchange: MakeExchange, market, now: datetime):
    """The file is published the moment the month ends; nobody asks for it before it is due."""
    url = make_exchange(market, clock=fixed_clock(to_ms(now)))
    [fetched] = fetch(History(Exchange(url), Archive(url)), whole(start=DECEMBER))
    assert sources(fetched.rows) == {"archive": (now - DECEMBER).days * 1440}
    assert fetched.fallbacks == []


def test_checksums_that_stay_wrong_end_in_rest_and_are_told(make_exchange: MakeExchange, market, clock, undisturbed):
    url, spoiled = (make_exchange(market, clock=clock, faults=parse_faults(text)) for text in ("", "checksum:1"))
    [fetched] = fetch(History(Exchange(url), Archive(spoiled)), whole())
    assert_frame_equal(fetched.rows, undisturbed, check_exact=True)
    assert len(fetched.fallbacks) == 2 + 1 + 31 + 9
    month = "BTCUSDT-1m-2024-12.zip: its checksum is another's; read by the day instead"
    assert fetched.fallbacks[2] == month
    assert fetched.fallbacks[3] == "BTCUSDT-1m-2024-12-01.zip: its checksum is another's; read over REST instead"


@pytest.mark.parametrize(
    "faults", ["checksum:0.5", "malformed:0.3", "truncate:0.5", "403:0.05", "reset:0.3,500:0.3", "429:0.2,418:0.1"]
)
def test_no_fault_of_the_archive_costs_a_kline(make_exchange: MakeExchange, market, clock, undisturbed, faults: str):
    url = make_exchange(market, clock=clock)
    spoiled = make_exchange(market, clock=clock, faults=parse_faults(f"{faults},seed=3"))
    history = History(Exchange(url), Archive(spoiled, retries=1, **on_clock_of(Sleeps(), spoiled)))
    [fetched] = fetch(history, whole())
    assert_frame_equal(values(fetched.rows), values(undisturbed), check_exact=True)


class AsNamed(Script):
    """Some files of an archive; others are not there."""

    def next(self, target: str) -> tuple:
        self.answers.setdefault(target.rsplit("/", 1)[-1], [MISSING])
        return super().next(target)


def test_a_month_that_is_not_published_comes_by_the_day(make_exchange, serve, market, clock, undisturbed):
    """The days are there, but for two."""
    url = make_exchange(market, clock=clock)
    script = AsNamed()
    here = Exchange(url)._http.get
    for number in (*range(1, 10), *range(12, 32)):
        for name in (f"BTCUSDT-1m-2024-12-{number:02}.zip", f"BTCUSDT-1m-2024-12-{number:02}.zip.CHECKSUM"):
            path = f"/data/spot/daily/klines/BTCUSDT/1m/{name}"
            script.answers[name] = [(200, {}, here(path, {}, decode=bytes))]
    [fetched] = fetch(History(Exchange(url), Archive(serve(script))), whole(start=DECEMBER, end=JANUARY))
    assert_frame_equal(
        values(fetched.rows), values(undisturbed.filter(pl.col("time").is_between(DECEMBER, JANUARY, closed="left")))
    )
    assert sources(fetched.rows) == {"archive": 29 * 1440, "replay": 2 * 1440}
    assert [line.split(";")[0] for line in fetched.fallbacks] == [
        "BTCUSDT-1m-2024-12.zip: not published",
        "BTCUSDT-1m-2024-12-10.zip: not published",
        "BTCUSDT-1m-2024-12-11.zip: not published",
    ]


def test_an_archive_that_is_not_there_costs_a_moment_and_no_kline(make_exchange, market, clock, undisturbed):
    with closing(create_server(("127.0.0.1", 0))) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    history = History(Exchange(make_exchange(market, clock=clock)), Archive(nobody, retries=1, sleep=Sleeps()))
    [fetched] = fetch(history, whole())
    assert_frame_equal(fetched.rows, undisturbed, check_exact=True)
    assert any("left alone" in line for line in fetched.fallbacks)


def test_klines_that_only_rest_has_are_not_lost(make_exchange: MakeExchange, market, clock, undisturbed):
    """The archive lacks an hour across two months, and a minute."""
    series = market.series("BTCUSDT")
    hour = (series.time_ms >= to_ms(DECEMBER) - 30 * 60_000) & (series.time_ms < to_ms(DECEMBER) + 30 * 60_000)
    kept = ~(hour | (series.time_ms == to_ms(JANUARY + DAY)))
    holed = Series(**{name: column[kept] for name, column in series.columns.items()})
    archive = make_exchange(make_market({"BTCUSDT": holed}), clock=clock)
    [fetched] = fetch(History(Exchange(make_exchange(market, clock=clock)), Archive(archive)), whole())
    assert_frame_equal(values(fetched.rows), values(undisturbed), check_exact=True)
    assert sources(fetched.rows)["replay"] == 7 * 60 + 30 + 61
    assert fetched.fallbacks == ["BTCUSDT from 2024-11-30 23:30: 61 klines that archives lack"]
    [both] = fetch(History(Exchange(archive), Archive(archive)), whole())
    assert both.rows.height == fetched.rows.height - 61
    assert both.fallbacks == []


def test_several_currencies_come_in_order_and_none_before_it_was_listed(make_exchange: MakeExchange):
    listed = DECEMBER + 20 * DAY + timedelta(hours=3)
    late = make_series(int((FEBRUARY - listed) / timedelta(hours=1)), start_ms=to_ms(listed), interval="1h")
    early = make_series(62 * 24, start_ms=to_ms(DECEMBER), interval="1h")
    market = make_market({"ADAUSDT": early, "BTCUSDT": late}, interval="1h")
    url = make_exchange(market, clock=fixed_clock(to_ms(FEBRUARY + 9 * DAY)))
    spans = [whole(name, DECEMBER - 61 * DAY, FEBRUARY) for name in ("BTCUSDT", "ADAUSDT")]
    first, second = fetch(History(Exchange(url), Archive(url)), *spans, interval="1h")
    assert (first.start, first.end, second.start) == (listed, FEBRUARY, DECEMBER)
    assert first.fallbacks == second.fallbacks == []
    for fetched, series in ((first, late), (second, early)):
        assert sources(fetched.rows) == {"archive": len(series)}
        assert fetched.rows["currency"].unique().to_list() == [fetched.span.currency]
        assert fetched.rows["close"].to_list() == pytest.approx(series.close)
    [before] = fetch(History(Exchange(url), Archive(url)), whole(end=DECEMBER), interval="1h")
    assert before.rows.is_empty()
    assert before.start == before.end


def test_what_is_not_finished_is_not_given(make_exchange: MakeExchange, market):
    url = make_exchange(market, clock=fixed_clock(to_ms(NOW) + 59_999))
    [fetched] = fetch(History(Exchange(url), Archive(url)), whole(start=JANUARY))
    assert (fetched.rows["time"][-1], fetched.end) == (NOW - timedelta(minutes=1), NOW)


def test_an_exchange_that_is_away_is_an_error(make_exchange: MakeExchange, market):
    with closing(create_server(("127.0.0.1", 0))) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    history = History(Exchange(nobody, retries=1, sleep=Sleeps()), Archive(make_exchange(market)))
    with pytest.raises(ExchangeUnreachable):
        fetch(history, whole())


def test_the_title_names_both(make_exchange: MakeExchange, market):
    url = make_exchange(market)
    history = History(Exchange(url), Archive(url))
    fetch(history, whole(start=JANUARY, end=JANUARY + DAY))
    assert history.title == f"archives at {url}, else replay"
    assert History(Exchange(url)).title == "the exchange's REST API"

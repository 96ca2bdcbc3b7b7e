"""The exchange on real sockets, as a client meets it."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import requests

from cryptobot_assets.exchange.clock import fixed_clock, running_clock
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.exchange.limits import WeightLimiter
from cryptobot_assets.exchange.market import Market, Series, to_ms
from cryptobot_assets.exchange.replay import load_replay
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import HOUR_MS, MINUTE_MS, START_MS, make_market, make_series


def klines(url: str, *, microseconds: bool = False, **parameters: object) -> list[list]:
    headers = {"X-MBX-TIME-UNIT": "MICROSECOND"} if microseconds else {}
    asked = {"symbol": "BTCUSDT", "interval": "1m", **parameters}
    answer = requests.get(f"{url}/api/v3/klines", params=asked, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def page_through(url: str, *, interval: str, step_ms: int, limit: int) -> list[list]:
    rows, start = [], 0
    while page := klines(url, interval=interval, startTime=start, limit=limit):
        rows += page
        start = page[-1][0] + step_ms
    return rows


@pytest.mark.parametrize(
    ("interval", "step_ms", "limit"), [("1m", MINUTE_MS, 1000), ("1m", MINUTE_MS, 997), ("1h", HOUR_MS, 7)]
)
def test_paging_covers_everything_exactly_once(
    make_exchange: MakeExchange, interval: str, step_ms: int, limit: int
) -> None:
    market = simulate(1, ["BTC"], days=4)
    rows = page_through(make_exchange(market), interval=interval, step_ms=step_ms, limit=limit)
    expected = market.series("BTCUSDT", interval)
    assert [row[0] for row in rows] == expected.time_ms.tolist()
    for place, name in enumerate(("open", "high", "low", "close", "volume"), start=1):
        assert [float(row[place]) for row in rows] == expected.columns[name].tolist()


def test_limits_of_a_page(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(count=3000))
    assert len(klines(url)) == 500
    assert len(klines(url, limit=1000)) == len(klines(url, limit=5000)) == 1000
    assert [row[0] for row in klines(url, limit=2)] == [START_MS + 2998 * MINUTE_MS, START_MS + 2999 * MINUTE_MS]


def test_both_ends_of_a_range_are_open_times_included(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(count=100))
    first, last = START_MS + 3 * MINUTE_MS, START_MS + 5 * MINUTE_MS
    minutes = [first, first + MINUTE_MS, last]
    assert [row[0] for row in klines(url, startTime=first, endTime=last)] == minutes
    assert [row[0] for row in klines(url, startTime=first - 1, endTime=last + 1)] == minutes
    assert [row[0] for row in klines(url, startTime=first * 1000, endTime=last * 1000)] == minutes
    assert [row[0] for row in klines(url, endTime=last, limit=2)] == minutes[1:]
    assert klines(url, startTime=last, endTime=first) == []
    assert klines(url, startTime=START_MS + 100 * MINUTE_MS) == []


def test_a_currency_listed_later_answers_from_its_listing_on(make_exchange: MakeExchange) -> None:
    listing = START_MS + 40 * MINUTE_MS
    market = make_market({"BTCUSDT": make_series(100), "NEWUSDT": make_series(60, start_ms=listing)})
    url = make_exchange(market, clock=fixed_clock(START_MS + 100 * MINUTE_MS))
    assert klines(url, symbol="NEWUSDT", startTime=START_MS, limit=1)[0][0] == listing
    early = make_exchange(market, clock=fixed_clock(START_MS + 10 * MINUTE_MS))
    assert klines(early, symbol="NEWUSDT") == []
    symbols = requests.get(f"{early}/api/v3/exchangeInfo", timeout=60).json()["symbols"]
    assert [symbol["symbol"] for symbol in symbols] == ["BTCUSDT"]


def test_nothing_after_now_is_served_and_the_newest_kline_is_unfinished(make_exchange: MakeExchange) -> None:
    market = make_market(count=300)
    now = START_MS + 130 * MINUTE_MS + 15_000
    url = make_exchange(market, clock=fixed_clock(now))
    *_, previous, newest = klines(url)
    assert newest[0] == START_MS + 130 * MINUTE_MS and newest[6] > now
    assert float(newest[5]) == pytest.approx(market.series("BTCUSDT").volume[130] / 4)
    assert float(previous[5]) == market.series("BTCUSDT").volume[129]
    assert klines(url, startTime=newest[0]) == [newest]
    assert klines(url, startTime=newest[0] + 1) == []
    assert klines(url, endTime=newest[0] - 1, limit=1) == [previous]
    hour = klines(url, interval="1h")[-1]
    assert hour[0] == START_MS + 2 * HOUR_MS
    volumes = market.series("BTCUSDT").volume
    assert float(hour[5]) == pytest.approx(volumes[120:130].sum() + volumes[130] / 4)
    assert requests.get(f"{url}/api/v3/time", timeout=60).json() == {"serverTime": now}


def test_by_default_every_kline_is_finished(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(count=300))
    now = requests.get(f"{url}/api/v3/time", timeout=60).json()["serverTime"]
    assert now == START_MS + 300 * MINUTE_MS == klines(url)[-1][6] + 1


def test_a_running_clock_brings_new_klines(make_exchange: MakeExchange) -> None:
    elapsed = [0.0]
    clock = running_clock(START_MS + 10 * MINUTE_MS, speed=60, seconds=lambda: elapsed[0])
    url = make_exchange(make_market(count=300), clock=clock)
    before = klines(url)
    elapsed[0] = 5.0
    after = klines(url)
    assert (len(before), len(after)) == (11, 16)
    assert before[:10] == after[:10] and before[10] != after[10]


def test_microseconds_on_request(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(count=10))
    (row,) = klines(url, microseconds=True, limit=1, startTime=START_MS)
    assert (row[0], row[6]) == (START_MS * 1000, (START_MS + MINUTE_MS) * 1000 - 1)


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"interval": "1m"}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ({"symbol": "BTCUSDT"}, -1102, "Mandatory parameter 'interval' was not sent"),
        ({"symbol": "BTCUSDX", "interval": "1m"}, -1121, "Invalid symbol."),
        ({"symbol": "btcusdt", "interval": "1m"}, -1100, "Illegal characters found in parameter 'symbol'"),
        ({"symbol": "BTCUSDT", "interval": "2m"}, -1120, "Invalid interval."),
        ({"symbol": "BTCUSDT", "interval": "1m", "limit": "0"}, -1130, "Data sent for parameter 'limit' is not valid."),
        (
            {"symbol": "BTCUSDT", "interval": "1m", "limit": "-5"},
            -1100,
            "Illegal characters found in parameter 'limit'",
        ),
        ({"symbol": "BTCUSDT", "interval": "1m", "startTime": "now"}, -1100, "legal range is '^[0-9]{1,20}$'."),
        ({"symbol": "BTCUSDT", "interval": "1m", "endTime": ""}, -1105, "Parameter 'endTime' was empty."),
        ({"symbol": "BTCUSDT", "interval": "1m", "endTime": "9" * 20}, -1108, "Parameter 'endTime' overflowed."),
        ({"symbol": "BTCUSDT", "interval": "1m", "start": "1"}, -1104, "read '2' parameter(s) but was sent '3'."),
        ({"symbol": "BTCUSDT", "interval": "1m", "timeZone": "8"}, -1130, "'timeZone' is not valid."),
    ],
)
def test_bad_requests_are_refused_as_the_exchange_does(
    make_exchange: MakeExchange, parameters: dict[str, str], code: int, message: str
) -> None:
    answer = requests.get(f"{make_exchange(make_market(count=10))}/api/v3/klines", params=parameters, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert message in answer.json()["msg"]
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "2"


def test_an_hourly_market_has_no_minutes(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(count=10, interval="1h"))
    assert len(klines(url, interval="1h")) == 10
    answer = requests.get(f"{url}/api/v3/klines?symbol=BTCUSDT&interval=1m", timeout=60)
    assert answer.json() == {"code": -1120, "msg": "Invalid interval."}


def test_what_is_not_there_is_404_and_nothing_can_be_posted(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(count=10))
    assert requests.get(f"{url}/api/v3/depth", timeout=60).status_code == 404
    assert requests.post(f"{url}/api/v3/klines", timeout=60).status_code == 405


def test_exchange_info_names_symbols_and_limits(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market({"BTCUSDT": make_series(5), "ETHUSDT": make_series(5)}))
    info = requests.get(f"{url}/api/v3/exchangeInfo", timeout=60).json()
    assert info["rateLimits"] == [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
    ]
    assert [(s["symbol"], s["status"], s["baseAsset"], s["quoteAsset"]) for s in info["symbols"]] == [
        ("BTCUSDT", "TRADING", "BTC", "USDT"),
        ("ETHUSDT", "TRADING", "ETH", "USDT"),
    ]
    some = requests.get(f"{url}/api/v3/exchangeInfo", params={"symbols": '["ETHUSDT"]'}, timeout=60).json()["symbols"]
    assert [symbol["symbol"] for symbol in some] == ["ETHUSDT"]
    for parameters, code in (
        ({"symbol": "NOUSDT"}, -1121),
        ({"symbols": "ETHUSDT"}, -1100),
        ({"symbol": "ETHUSDT", "symbols": '["ETHUSDT"]'}, -1128),
    ):
        answer = requests.get(f"{url}/api/v3/exchangeInfo", params=parameters, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_every_answer_tells_its_weight_and_its_market(make_exchange: MakeExchange) -> None:
    url = make_exchange(simulate(7, 1, days=1))
    used = []
    for path in ("ping", "time", "exchangeInfo", "klines?symbol=BTCUSDT&interval=1m", "klines", "nothing"):
        answer = requests.get(f"{url}/api/v3/{path}", timeout=60)
        assert answer.headers["X-Exchange-Market"] == "simulated seed=7"
        used.append(int(answer.headers["X-MBX-USED-WEIGHT-1M"]))
    assert used == [1, 2, 22, 24, 26, 26]


def test_too_much_weight_is_429_and_then_418(make_exchange: MakeExchange) -> None:
    limiter = WeightLimiter(per_minute=3, patience=1, seconds=lambda: 90.0)
    url = make_exchange(make_market(count=10), limiter=limiter)
    answers = [requests.get(f"{url}/api/v3/klines?symbol=BTCUSDT&interval=1m", timeout=60) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 418]
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, "30", "120"]
    assert answers[1].json()["msg"].startswith("Too much request weight used; current limit is 3 request weight")
    assert "IP banned until 210000" in answers[2].json()["msg"]
    assert answers[2].json()["code"] == -1003


@pytest.fixture
def around_new_year() -> Market:
    """Hours from 2024-12-30 to 2025-01-02 12:00, before and after archives changed their unit."""
    start = to_ms(datetime(2024, 12, 30, tzinfo=UTC))
    return make_market({"BTCUSDT": make_series(84, start_ms=start, interval="1h")}, interval="1h")


def archive(url: str, period: str, name: str) -> requests.Response:
    return requests.get(f"{url}/data/spot/{period}/klines/BTCUSDT/1h/{name}", timeout=60)


@pytest.mark.parametrize(
    ("period", "stem", "rows", "unit"),
    [
        ("monthly", "BTCUSDT-1h-2024-12", 48, 1),
        ("daily", "BTCUSDT-1h-2024-12-31", 24, 1),
        ("daily", "BTCUSDT-1h-2025-01-01", 24, 1000),
    ],
)
def test_archives_say_what_rest_says(
    make_exchange: MakeExchange, around_new_year: Market, period: str, stem: str, rows: int, unit: int
) -> None:
    url = make_exchange(around_new_year)
    zipped = archive(url, period, f"{stem}.zip").content
    assert archive(url, period, f"{stem}.zip.CHECKSUM").text == f"{hashlib.sha256(zipped).hexdigest()}  {stem}.zip\n"
    with zipfile.ZipFile(io.BytesIO(zipped)) as opened:
        assert opened.namelist() == [f"{stem}.csv"]
        lines = [line.split(",") for line in opened.read(f"{stem}.csv").decode().splitlines()]
    start = int(lines[0][0]) // unit
    expected = klines(url, interval="1h", startTime=start, limit=rows, microseconds=unit == 1000)
    assert lines == [[str(field) for field in row] for row in expected]
    assert len(lines) == rows


@pytest.mark.parametrize(
    ("period", "name"),
    [
        ("monthly", "BTCUSDT-1h-2025-01.zip"),
        ("daily", "BTCUSDT-1h-2025-01-02.zip"),
        ("daily", "BTCUSDT-1h-2024-12-29.zip"),
        ("daily", "BTCUSDT-1h-2024-13-01.zip"),
        ("daily", "BTCUSDT-1h-2024-12.zip"),
        ("monthly", "BTCUSDT-1h-2024-12-31.zip"),
        ("monthly", "ETHUSDT-1h-2024-12.zip"),
        ("weekly", "BTCUSDT-1h-2024-12.zip"),
        ("monthly", "index.html"),
    ],
)
def test_archives_of_unfinished_or_unknown_spans_do_not_exist(
    make_exchange: MakeExchange, around_new_year: Market, period: str, name: str
) -> None:
    url = make_exchange(around_new_year)
    assert archive(url, period, name).status_code == 404
    assert archive(url, period, f"{name}.CHECKSUM").status_code == 404


def faulty(make_exchange: MakeExchange, spec: str) -> str:
    return make_exchange(make_market(count=10), faults=parse_faults(spec))


@pytest.mark.parametrize("status", [403, 418, 429, 451, 500, 502, 503, 504])
def test_a_status_by_chance(make_exchange: MakeExchange, status: int) -> None:
    answer = requests.get(faulty(make_exchange, f"{status}:1,retry_after=4") + "/api/v3/ping", timeout=60)
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("4" if status in (418, 429) else None)


def test_a_reset_is_a_real_one(make_exchange: MakeExchange) -> None:
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        requests.get(faulty(make_exchange, "reset:1") + "/api/v3/ping", timeout=60)


def test_a_timeout_keeps_the_client_waiting(make_exchange: MakeExchange) -> None:
    with pytest.raises(requests.ReadTimeout):
        requests.get(faulty(make_exchange, "timeout:1,hang=0.5") + "/api/v3/ping", timeout=0.2)


@pytest.mark.parametrize("path", ["/api/v3/klines?symbol=BTCUSDT&interval=1m", "/api/v3/time"])
def test_a_truncated_answer_ends_before_its_length(make_exchange: MakeExchange, path: str) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        _ = requests.get(faulty(make_exchange, "truncate:1") + path, timeout=60).content


def test_a_malformed_answer_is_no_json(make_exchange: MakeExchange) -> None:
    answer = requests.get(
        faulty(make_exchange, "malformed:1") + "/api/v3/klines?symbol=BTCUSDT&interval=1m", timeout=60
    )
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)


def test_spoiled_rows_are_served(make_exchange: MakeExchange) -> None:
    assert len(klines(faulty(make_exchange, "duplicate:1"))) == 11
    assert [row[0] % MINUTE_MS for row in klines(faulty(make_exchange, "offgrid:1"))].count(0) == 9


def test_a_wrong_checksum_is_served(make_exchange: MakeExchange, around_new_year: Market) -> None:
    url = make_exchange(around_new_year, faults=parse_faults("checksum:1"))
    zipped = archive(url, "daily", "BTCUSDT-1h-2024-12-31.zip").content
    line = archive(url, "daily", "BTCUSDT-1h-2024-12-31.zip.CHECKSUM").text
    assert len(line.split()[0]) == 64 and line.split()[0] != hashlib.sha256(zipped).hexdigest()


def test_time_can_be_skewed_and_the_newest_kline_unfinished(make_exchange: MakeExchange) -> None:
    url = faulty(make_exchange, "skew:30,unfinished:0.5")
    now = requests.get(f"{url}/api/v3/time", timeout=60).json()["serverTime"]
    assert now == START_MS + 10 * MINUTE_MS - 30_000 + 30_000
    assert float(klines(url)[-1][5]) == pytest.approx(1.009 / 2)


def archive_rows(folder: Path, name: str) -> list[list[str]]:
    text = (folder / "fixtures" / "spot-archive-1h" / name).read_text()
    return [line.split(",") for line in text.splitlines()]


@pytest.fixture
def recorded_january(recorded_klines: Path) -> Market:
    """The recorded archive of BTCUSDT for 2025-01, with every column it has."""
    rows = archive_rows(recorded_klines, "BTCUSDT-1h-2025-01.csv")
    columns = list(zip(*rows, strict=True))
    numbers = {
        name: pl.Series(columns[place]).cast(pl.Float64).to_numpy()
        for name, place in {
            "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7,
            "taker_volume": 9, "taker_quote_volume": 10,
        }.items()
    }  # fmt: skip
    times = pl.Series(columns[0]).cast(pl.Int64).to_numpy() // 1000
    trades = pl.Series(columns[8]).cast(pl.Int64).to_numpy()
    return make_market({"BTCUSDT": Series(time_ms=times, trades=trades, **numbers)}, interval="1h")


@pytest.mark.recorded
def test_rest_answers_are_the_recorded_ones(
    make_exchange: MakeExchange, recorded_klines: Path, recorded_january: Market
) -> None:
    recorded = json.loads((recorded_klines / "fixtures" / "rest-shape-BTCUSDT-1h-2025-01.first100.json").read_text())
    assert klines(make_exchange(recorded_january), interval="1h", startTime=recorded[0][0], limit=100) == recorded


@pytest.mark.recorded
def test_archives_are_the_recorded_ones(
    make_exchange: MakeExchange, recorded_klines: Path, recorded_january: Market
) -> None:
    zipped = archive(make_exchange(recorded_january), "monthly", "BTCUSDT-1h-2025-01.zip").content
    recorded = recorded_klines / "fixtures" / "archive-zips" / "BTCUSDT-1h-2025-01.zip"
    with zipfile.ZipFile(io.BytesIO(zipped)) as ours, zipfile.ZipFile(recorded) as theirs:
        (name,) = ours.namelist()
        assert theirs.namelist() == [name]
        lines, expected = (opened.read(name).decode().splitlines() for opened in (ours, theirs))
    assert len(lines) == len(expected) == 744
    for line, wanted in zip(lines, expected, strict=True):
        assert [len(field) for field in line.split(",")] == [len(field) for field in wanted.split(",")]
        assert [float(field) for field in line.split(",")] == [float(field) for field in wanted.split(",")]


@pytest.mark.recorded
def test_a_replay_gives_back_every_recorded_figure(make_exchange: MakeExchange, recorded_klines: Path) -> None:
    path = recorded_klines / "spot-1h-2024.parquet"
    url = make_exchange(load_replay([path]))
    for name in ("BTC", "SHIB", "YGG"):
        recorded = pl.read_parquet(path).filter(pl.col("currency") == name).sort("time")
        rows = klines(url, symbol=f"{name}USDT", interval="1h", startTime=0, limit=1000)
        for place, column in enumerate(("open", "high", "low", "close"), start=1):
            assert [float(row[place]) for row in rows] == recorded[column].to_list()[:1000]
        volumes = recorded["volume"].to_list()[:1000]
        assert [float(row[5]) for row in rows] == pytest.approx(volumes, rel=1e-15, abs=1e-8)

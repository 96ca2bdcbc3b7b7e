"""The archive client, over real sockets: what is believed, what is not, and how often it is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.domain.klines import KLINE_SCHEMA
from cryptobot_assets.domain.sources import Source, month_after
from cryptobot_assets.errors import BadArchive, BadKlines
from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.exchange.market import to_ms
from cryptobot_assets.storage.archive import SILENCES, Archive, archive_path, parse_klines, unzip
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.storage.archives import (
    DECEMBER,
    FEBRUARY,
    JANUARY,
    MISSING,
    csv_line,
    make_past,
    published,
    zipped,
)
from cryptobot_assets_tests.storage.scripts import Script, Sleeps, on_clock_of

HOUR = timedelta(hours=1)
MONTH = Source("monthly", DECEMBER, JANUARY)
NAME = "BTCUSDT-1h-2024-12.zip"
LINES = "\n".join(csv_line(to_ms(DECEMBER + n * HOUR)) for n in range(3)).encode()
WHOLE = zipped({"BTCUSDT-1h-2024-12.csv": LINES})


def over_rest(url: str, interval: str, source: Source) -> pl.DataFrame:
    """The same klines over REST, but for their source."""
    pages = Exchange(url).klines("BTCUSDT", interval, source.start, source.end)
    return pl.concat(pages).with_columns(source=pl.lit("archive"))


def month(first: datetime) -> Source:
    return Source("monthly", first, month_after(first))


# What is believed


@pytest.mark.parametrize("first", [DECEMBER, JANUARY], ids=["milliseconds", "microseconds"])
def test_a_month_holds_what_rest_gives(make_exchange: MakeExchange, first: datetime):
    url = make_exchange(make_past(FEBRUARY))
    rows = Archive(url).read("BTCUSDT", "1h", month(first))
    assert rows.schema == pl.Schema(KLINE_SCHEMA)
    assert rows.height == 31 * 24
    assert_frame_equal(rows, over_rest(url, "1h", month(first)), check_exact=True)


@pytest.mark.parametrize("first", [JANUARY - timedelta(days=1), JANUARY])
def test_a_day_holds_what_rest_gives(make_exchange: MakeExchange, first: datetime):
    url = make_exchange(make_past(JANUARY + timedelta(days=2), interval="1m", start=JANUARY - timedelta(days=2)))
    source = Source("daily", first, first + timedelta(days=1))
    rows = Archive(url).read("BTCUSDT", "1m", source)
    assert rows.height == 1440
    assert_frame_equal(rows, over_rest(url, "1m", source), check_exact=True)


def test_a_file_of_the_month_of_the_listing_holds_the_part_there_is(make_exchange: MakeExchange):
    url = make_exchange(make_past(JANUARY, start=DECEMBER + timedelta(days=12, hours=5)))
    rows = Archive(url).read("BTCUSDT", "1h", MONTH)
    assert (rows["time"][0], rows["time"][-1]) == (DECEMBER + timedelta(days=12, hours=5), JANUARY - HOUR)


def test_a_replaced_file_is_read_anew(serve):
    second = zipped({"BTCUSDT-1h-2024-12.csv": LINES.replace(b",3.0,", b",9.0,")})
    script = Script(**published(NAME, WHOLE))
    archive = Archive(serve(script))
    assert archive.read("BTCUSDT", "1h", MONTH)["volume"].to_list() == [3.0] * 3
    script.answers.update(published(NAME, second))
    assert archive.read("BTCUSDT", "1h", MONTH)["volume"].to_list() == [9.0] * 3


# The text in it


def parsed(*lines: str, interval: str = "1h", source: Source = MONTH) -> pl.DataFrame:
    return parse_klines("\n".join(lines).encode(), "BTCUSDT", interval, source)


def test_every_column_finds_its_place():
    assert parsed(csv_line(to_ms(DECEMBER))).row(0, named=True) == {
        "currency": "BTCUSDT", "time": DECEMBER, "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5,
        "volume": 3.0, "quote_volume": 4.5, "trades": 7, "source": "archive",
    }  # fmt: skip


def test_the_unit_of_time_is_told_by_magnitude_row_by_row():
    times = [to_ms(DECEMBER), to_ms(DECEMBER + HOUR) * 1000, to_ms(DECEMBER + 2 * HOUR)]
    assert parsed(*map(csv_line, times))["time"].to_list() == [DECEMBER, DECEMBER + HOUR, DECEMBER + 2 * HOUR]
    first = datetime(2017, 8, 17, 4, tzinfo=UTC)
    assert parsed(csv_line(to_ms(first) * 1000), source=month(first.replace(day=1, hour=0)))["time"].item() == first


@pytest.mark.parametrize("header", ["open_time,open,high,low,close,volume,close_time,q,count,tb,tq,ignore", "a" * 12])
def test_a_header_is_told_from_a_row(header: str):
    assert_frame_equal(parsed(header, csv_line(to_ms(DECEMBER))), parsed(csv_line(to_ms(DECEMBER))))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (csv_line(to_ms(JANUARY)), "outside the file's span"),
        (csv_line(to_ms(DECEMBER) - 3_600_000), "outside the file's span"),
        (csv_line(to_ms(DECEMBER) + 1), "a time on the 1h grid"),
        (csv_line(to_ms(DECEMBER), low="9"), "low <= min"),
        (csv_line(to_ms(DECEMBER), low="NaN"), "prices and a volume"),
        (csv_line(to_ms(DECEMBER), low=""), "prices and a volume"),
        (csv_line(to_ms(DECEMBER), low="cheap"), "cannot be read"),
        (csv_line(to_ms(DECEMBER), trades="1.5"), "cannot be read"),
        ("", "no kline"),
        (f"{to_ms(DECEMBER)},1.0,2.0", "cannot be read"),
        (csv_line(to_ms(DECEMBER)) + ",1,2", "cannot be read"),
        (f"{csv_line(to_ms(DECEMBER))}\n{csv_line(to_ms(DECEMBER))}", "a key of its own"),
    ],
)
def test_rows_that_cannot_be_are_refused(line: str, why: str):
    with pytest.raises(BadKlines, match=why):
        parsed(line)


# What is not believed


def read_scripted(serve, answers: dict, **options: object) -> tuple[Script, pl.DataFrame | str]:
    """The rows, or why there are none."""
    script = Script(**answers)
    try:
        return script, Archive(serve(script), sleep=Sleeps(), **options).read("BTCUSDT", "1h", MONTH)
    except BadArchive as error:
        return script, str(error)


def asked(script: Script) -> list[str]:
    return ["checksum" if name.endswith("CHECKSUM") else "file" for name, _ in script.asked]


def test_a_checksum_that_is_right_is_asked_for_once(serve):
    script, rows = read_scripted(serve, published(NAME, WHOLE))
    assert rows.height == 3
    assert asked(script) == ["file", "checksum"]


@pytest.mark.parametrize(
    ("checksum", "why"),
    [
        ((200, {}, f"{'0' * 64}  {NAME}\n".encode()), "is another's"),
        ((200, {}, b"\xff\xfe"), "cannot be read"),
        ((200, {}, b""), "cannot be read"),
        ((200, {}, f"{'0' * 64}  ETHUSDT-1h-2024-12.zip\n".encode()), "cannot be read"),
        (MISSING, "is missing"),
    ],
)
def test_a_wrong_or_missing_checksum_is_asked_for_once_more(serve, checksum: tuple, why: str):
    right = published(NAME, WHOLE)
    script, said = read_scripted(serve, {**right, f"{NAME}.CHECKSUM": [checksum]})
    assert said.startswith(f"{NAME}: ")
    assert why in said
    assert asked(script) == ["file", "checksum"] * 2
    script, rows = read_scripted(serve, {**right, f"{NAME}.CHECKSUM": [checksum, *right[f"{NAME}.CHECKSUM"]]})
    assert rows.height == 3
    assert asked(script) == ["file", "checksum"] * 2


def test_a_file_that_was_spoiled_on_its_way_is_asked_for_once_more(serve):
    right = published(NAME, WHOLE)
    _, rows = read_scripted(serve, {**right, NAME: [(200, {}, WHOLE[:40]), (200, {}, WHOLE)]})
    assert rows.height == 3


def test_a_file_that_is_not_there_is_asked_for_once(serve):
    script, said = read_scripted(serve, {NAME: [MISSING]})
    assert said == f"{NAME}: not published"
    assert asked(script) == ["file"]


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (b"PK\x03\x04 no zip at all", "the zip cannot be read"),
        (WHOLE[:60] + b"!" + WHOLE[61:], "the zip cannot be read"),
        (b"", "the zip cannot be read"),
        (zipped({}), "does not hold one CSV"),
        (zipped({"a.csv": LINES, "b.csv": LINES}), "does not hold one CSV"),
        (zipped({"a.txt": LINES}), "does not hold one CSV"),
        (zipped({"a.csv": b""}), "no kline in it"),
        (zipped({"a.csv": b"open_time,open\n"}), "no kline in it"),
        (zipped({"a.csv": LINES.replace(b"0.5", b"5.0")}), "low <= min"),
    ],
)
def test_a_file_that_holds_no_klines_is_told_whatever_its_checksum(serve, archive: bytes, why: str):
    script, said = read_scripted(serve, published(NAME, archive))
    assert why in said
    assert "\n" not in said
    assert asked(script) == ["file", "checksum"]


def test_a_zip_that_would_fill_the_memory_is_not_opened(serve, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cryptobot_assets.storage.archive.LARGEST_CSV_BYTES", 1000)
    _, said = read_scripted(serve, published(NAME, zipped({"a.csv": LINES + b" " * 2000})))
    assert "credible size" in said


# Faults on the way


@pytest.mark.parametrize(
    "faults", ["reset:0.4", "timeout:0.4,hang=0.05", "truncate:0.4", "500:0.2,502:0.1,503:0.1", "429:0.4"]
)
def test_faults_that_pass_cost_nothing(make_exchange: MakeExchange, faults: str):
    market = make_past(FEBRUARY)
    url = make_exchange(market, faults=parse_faults(f"{faults},retry_after=3,seed=2"))
    sleeps = Sleeps()
    archive = Archive(url, retries=20, **on_clock_of(sleeps, url))
    undisturbed = Archive(make_exchange(market))
    for first in (DECEMBER, JANUARY):
        assert_frame_equal(archive.read("BTCUSDT", "1h", month(first)), undisturbed.read("BTCUSDT", "1h", month(first)))
    if faults.startswith("429"):
        assert set(sleeps) <= {3.0}


def test_a_checksum_that_stays_wrong_is_told(make_exchange: MakeExchange):
    url = make_exchange(make_past(JANUARY), faults=parse_faults("checksum:1"))
    with pytest.raises(BadArchive, match=f"^{NAME}: its checksum is another's$"):
        Archive(url).read("BTCUSDT", "1h", MONTH)


@pytest.mark.parametrize("status", [403, 451])
def test_a_refusal_ends_the_asking_for_a_while(serve, status: int):
    script = Script(**{NAME: [(status, {}, b"<html>")]})
    archive = Archive(serve(script), sleep=Sleeps())
    with pytest.raises(BadArchive, match=f"HTTP {status}"):
        archive.read("BTCUSDT", "1h", MONTH)
    with pytest.raises(BadArchive, match="left alone"):
        archive.read("BTCUSDT", "1h", MONTH)
    assert asked(script) == ["file"]


def test_a_server_in_trouble_is_left_alone_for_a_while(serve):
    script = Script(**{NAME: [(503, {}, b"")]})
    archive = Archive(serve(script), sleep=Sleeps(), retries=2)
    for _ in range(SILENCES):
        with pytest.raises(BadArchive, match="no usable answer: HTTP 503"):
            archive.read("BTCUSDT", "1h", MONTH)
    with pytest.raises(BadArchive, match="left alone"):
        archive.read("BTCUSDT", "1h", MONTH)
    assert len(script.asked) == SILENCES * 3


def test_a_long_wait_is_not_waited_for(serve):
    sleeps = Sleeps()
    script = Script(**{NAME: [(418, {"Retry-After": "7200"}, b"{}")]})
    with pytest.raises(BadArchive, match="asks to wait 7200 s"):
        Archive(serve(script), sleep=sleeps).read("BTCUSDT", "1h", MONTH)
    assert sleeps == []


def test_files_that_are_not_published_do_not_count_as_silence(make_exchange: MakeExchange):
    url = make_exchange(make_past(JANUARY), clock=fixed_clock(to_ms(JANUARY) - 1))
    archive = Archive(url)
    for _ in range(SILENCES + 1):
        with pytest.raises(BadArchive, match="not published"):
            archive.read("BTCUSDT", "1h", MONTH)


# Recorded files


@pytest.mark.recorded
@pytest.mark.parametrize("first", [DECEMBER, JANUARY], ids=["milliseconds", "microseconds"])
def test_recorded_archives_are_read_whole(recorded_klines: Path, serve, first: datetime):
    folder = recorded_klines / "fixtures" / "archive-zips"
    source = month(first)
    name = Path(archive_path("BTCUSDT", "1h", source)).name
    answers = {one: [(200, {}, (folder / one).read_bytes())] for one in (name, f"{name}.CHECKSUM")}
    rows = Archive(serve(Script(**answers))).read("BTCUSDT", "1h", source)
    assert rows.height == 31 * 24
    assert (rows["time"][0], rows["time"][-1]) == (source.start, source.end - HOUR)
    text = (recorded_klines / "fixtures" / "spot-archive-1h" / name.replace(".zip", ".csv")).read_bytes()
    assert text.replace(b"\r", b"") == unzip((folder / name).read_bytes()).replace(b"\r", b"")
    if first == JANUARY:
        assert rows.row(0, named=True)["quote_volume"] == 71068810.5594638


@pytest.mark.recorded
@pytest.mark.parametrize("name", ["ALGOUSDT-1m-2024-02", "NEARUSDT-1m-2026-06"])
def test_recorded_csvs_with_a_header_are_read(recorded_klines: Path, name: str):
    text = (recorded_klines / "fixtures" / f"usdm-futures-{name}.header-ms.head200.csv").read_bytes()
    currency, _, month_name = name.split("-", 2)
    first = datetime.fromisoformat(f"{month_name}-01").replace(tzinfo=UTC)
    rows = parse_klines(text, currency, "1m", month(first))
    assert rows.height == text.count(b"\n") - 1
    assert rows["time"][0] == first

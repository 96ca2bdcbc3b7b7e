"""The directory of the archives on a real socket: what there is, no more, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
import requests

from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.market import Market, to_ms
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import HOUR_MS, make_series

FIRST = datetime(2024, 11, 29, tzinfo=UTC)
SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
DAILY, MONTHLY = "data/spot/daily/klines/", "data/spot/monthly/klines/"


def make_market(days: int = 40) -> Market:
    """BTCUSDT and three more from 2024-11-29 on; the last one is forgotten."""
    series = make_series(24 * days, start_ms=to_ms(FIRST), interval="1h")
    names = ("BTCUSDT", "BTCUPUSDT", "ETHUSDT", "GONEUSDT")
    return Market(label="replay", interval="1h", series=dict.fromkeys(names, series), forgotten=["GONEUSDT"])


def page(url: str, **query: str) -> tuple[list[str], list[str], str | None]:
    """Files, folders and the next marker of one answer."""
    answer = requests.get(url, params={name.replace("_", "-"): value for name, value in query.items()}, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/xml")
    root = ElementTree.fromstring(answer.content)
    assert root.tag == f"{SPACE}ListBucketResult"
    files = [one.text or "" for one in root.findall(f"{SPACE}Contents/{SPACE}Key")]
    folders = [one.text or "" for one in root.findall(f"{SPACE}CommonPrefixes/{SPACE}Prefix")]
    more = root.findtext(f"{SPACE}IsTruncated") == "true"
    return files, folders, (root.findtext(f"{SPACE}NextMarker") or max([*files, *folders])) if more else None


def pages(url: str, **query: str) -> list[str]:
    names: list[str] = []
    marker: str | None = ""
    while marker is not None:
        files, folders, marker = page(url, marker=marker, **query)
        names += sorted([*files, *folders])
    return names


def test_folders_lead_from_the_root_to_the_files(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market())
    assert page(url, delimiter="/") == ([], ["data/"], None)
    assert page(url, delimiter="/", prefix="data/spot/") == ([], ["data/spot/daily/", "data/spot/monthly/"], None)
    names = ["BTCUPUSDT", "BTCUSDT", "ETHUSDT", "GONEUSDT"]
    assert page(url, delimiter="/", prefix=MONTHLY)[1] == [f"{MONTHLY}{name}/" for name in names]
    assert page(url, delimiter="/", prefix=f"{MONTHLY}BTCU")[1] == [f"{MONTHLY}{name}/" for name in names[:2]]
    assert page(url, delimiter="/", prefix=f"{MONTHLY}BTCUSDT/")[1] == [
        f"{MONTHLY}BTCUSDT/1d/", f"{MONTHLY}BTCUSDT/1h/",
    ]  # fmt: skip
    files, folders, _ = page(url, delimiter="/", prefix=f"{MONTHLY}GONEUSDT/1h/")
    stem = f"{MONTHLY}GONEUSDT/1h/GONEUSDT-1h"
    assert (files, folders) == (
        [f"{stem}-{month}.zip{ending}" for month in ("2024-11", "2024-12") for ending in ("", ".CHECKSUM")],
        [],
    )
    assert page(url, delimiter="/", prefix="data/futures/") == ([], [], None)


def test_every_name_is_that_of_a_file_that_can_be_had(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(35), clock=fixed_clock(to_ms(FIRST) + 33 * 24 * HOUR_MS + HOUR_MS))
    names = [name for name in pages(url) if "/1h/" in name]
    assert len(names) == 4 * 2 * (33 + 2), "days and months that have ended, each with its checksum"
    for name in names[:: len(names) // 12]:
        assert requests.get(f"{url}/{name}", timeout=60).status_code == 200
    unfinished = f"{DAILY}BTCUSDT/1h/BTCUSDT-1h-{FIRST + timedelta(days=33):%Y-%m-%d}.zip"
    assert unfinished not in names
    assert requests.get(f"{url}/{unfinished}", timeout=60).status_code == 404


@pytest.mark.parametrize("delimiter", ["/", ""])
@pytest.mark.parametrize("most", ["1", "3", "1000", "5000"])
def test_pages_hold_everything_once_in_order(make_exchange: MakeExchange, delimiter: str, most: str) -> None:
    url = make_exchange(make_market(4))
    prefix = f"{DAILY}BTCUSDT/1h/"
    whole = pages(url, prefix=prefix, delimiter=delimiter)
    assert whole == sorted(set(whole)) and len(whole) == 8
    assert pages(url, prefix=prefix, delimiter=delimiter, max_keys=most) == whole
    folders = pages(url, prefix=DAILY, delimiter="/", max_keys=most)
    assert len(folders) == 4


def test_a_page_has_at_most_a_thousand_names(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(600))
    files, _, marker = page(url, prefix=f"{DAILY}BTCUSDT/1h/", delimiter="/")
    assert len(files) == 1000 and marker == files[-1]
    assert len(pages(url, prefix=f"{DAILY}BTCUSDT/1h/", delimiter="/")) == 1200


def test_a_wrong_size_of_page_is_refused(make_exchange: MakeExchange) -> None:
    answer = requests.get(make_exchange(make_market(2)), params={"max-keys": "many"}, timeout=60)
    assert answer.status_code == 400


def test_a_currency_that_trades_no_more_is_listed_so_and_one_that_is_forgotten_is_not(
    make_exchange: MakeExchange,
) -> None:
    whole = make_series(24 * 10, start_ms=to_ms(FIRST), interval="1h")
    market = Market(
        label="replay",
        interval="1h",
        series={"BTCUSDT": whole, "ENDUSDT": whole.rows(0, 100), "GONEUSDT": whole, "LATEUSDT": whole.rows(239, 240)},
        forgotten=["GONEUSDT"],
    )

    def statuses(hour: int) -> dict[str, str]:
        url = make_exchange(market, clock=fixed_clock(to_ms(FIRST) + hour * HOUR_MS))
        answer = requests.get(f"{url}/api/v3/exchangeInfo", timeout=60).json()
        return {one["symbol"]: one["status"] for one in answer["symbols"]}

    assert statuses(99) == statuses(122) == {"BTCUSDT": "TRADING", "ENDUSDT": "TRADING"}
    assert statuses(124) == {"BTCUSDT": "TRADING", "ENDUSDT": "BREAK"}
    assert statuses(240) == {"BTCUSDT": "TRADING", "ENDUSDT": "BREAK", "LATEUSDT": "TRADING"}
    url = make_exchange(market)
    asked = {"symbol": "GONEUSDT", "interval": "1h"}
    refusal = requests.get(f"{url}/api/v3/klines", params=asked, timeout=60)
    assert (refusal.status_code, refusal.json()["code"]) == (400, -1121)
    assert len(requests.get(f"{url}/api/v3/klines", params={**asked, "symbol": "ENDUSDT"}, timeout=60).json()) == 100


def test_days_are_folded_from_hours(make_exchange: MakeExchange) -> None:
    url = make_exchange(make_market(3))
    asked = {"symbol": "BTCUSDT", "interval": "1d"}
    rows = requests.get(f"{url}/api/v3/klines", params=asked, timeout=60).json()
    assert [row[0] for row in rows] == [to_ms(FIRST) + day * 24 * HOUR_MS for day in range(3)]
    assert [float(row[4]) for row in rows] == [101 + 0.23, 101 + 0.47, 101 + 0.71]

"""Ticks of the market data schedules: what they ask for, and that missed ones are made up for."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest

from cryptobot_assets.automation.causes import first_cause
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.errors import ExchangeUnreachable, StoreError
from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.market import to_ms
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.partitions import GROUP_SIZES
from cryptobot_assets.processes import free_port
from cryptobot_assets.profile import HomeProfile, write_profile
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.store import KLINES
from cryptobot_assets_tests.automation.ticks import CURRENCIES, Platform, keys, open_platform, ranges_asked
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market, make_series

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)


def store_klines(platform: Platform, hours: dict[str, int]) -> None:
    """So many hourly klines of each currency, from the first day on."""
    for currency, count in hours.items():
        rows = make_klines(count, currency=currency)
        platform.lake.replace(KLINES, rows, start=None, end=None, currency=currency)


def test_the_first_tick_asks_for_all_it_looks_back_to_in_one_run(platform: Platform) -> None:
    (request,) = platform.tick("ingestion_schedule", "2024-01-03T00:00")
    assert ranges_asked([request]) == [("BTCUSDT|2024-01-01", "LTCUSDT|2024-01-03")]
    assert request.run_key == "klines 2024-01-03T00:00 BTCUSDT|2024-01-01 LTCUSDT|2024-01-03"
    assert request.tags["dagster/max_retries"] == "2"
    assert request.tags["dagster/retry_on_asset_or_op_failure"] == "false"


@pytest.mark.parametrize(
    ("hours", "tick", "asked"),
    [
        ((48, 48, 48), "2024-01-03T00:00", None),
        ((48, 48, 48), "2024-01-03T12:00", [("BTCUSDT|2024-01-02", "LTCUSDT|2024-01-03")]),
        ((47, 48, 48), "2024-01-03T00:00", [("BTCUSDT|2024-01-02", "BTCUSDT|2024-01-03")]),
        ((48, 48, 48), "2024-01-06T00:00", [("BTCUSDT|2024-01-03", "LTCUSDT|2024-01-06")]),
        ((24, 48, 24), "2024-01-05T12:00", [
            ("BTCUSDT|2024-01-02", "BTCUSDT|2024-01-05"), ("ETHUSDT|2024-01-03", "ETHUSDT|2024-01-05"),
            ("LTCUSDT|2024-01-02", "LTCUSDT|2024-01-05"),
        ]),
        ((24, 24, 24), "2024-01-20T00:00", [("BTCUSDT|2024-01-15", "LTCUSDT|2024-01-20")]),
    ],
)  # fmt: skip
def test_a_tick_reaches_back_to_the_newest_whole_day_of_each_currency(
    hours: tuple[int, ...], tick: str, asked: list[tuple[str, str]] | None, platform: Platform
) -> None:
    store_klines(platform, dict(zip(CURRENCIES, hours, strict=True)))
    platform.record("klines", keys(["2024-01-01", "2024-01-02"]))
    answer = platform.tick("ingestion_schedule", tick)
    if asked is None:
        assert answer == "every kline finished by 2024-01-03 00:00 is recorded or being asked for"
    else:
        assert ranges_asked(answer) == asked


def test_a_run_that_waits_already_is_not_asked_for_again(platform: Platform) -> None:
    (request,) = platform.tick("ingestion_schedule", "2024-01-02T12:00")
    job = platform.repository.get_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("klines")})
    waits = dg.DagsterRunStatus.NOT_STARTED
    platform.instance.create_run_for_job(job, status=waits, tags=request.tags, asset_selection={dg.AssetKey("klines")})
    assert isinstance(platform.tick("ingestion_schedule", "2024-01-02T12:30"), str)
    assert ranges_asked(platform.tick("ingestion_schedule", "2024-01-03T00:00")) == [
        ("BTCUSDT|2024-01-03", "LTCUSDT|2024-01-03")
    ]


def test_what_a_failed_run_left_behind_is_asked_for_though_an_earlier_one_recorded_it(platform: Platform) -> None:
    days = [f"2024-01-0{day}" for day in range(1, 5)]
    store_klines(platform, dict.fromkeys(CURRENCIES, 84))
    platform.record("klines", keys(days))
    assert isinstance(platform.tick("ingestion_schedule", "2024-01-04T12:00"), str)
    platform.run_and_fail("klines", "ETHUSDT|2024-01-02", ExchangeUnreachable("gone"))
    assert ranges_asked(platform.tick("ingestion_schedule", "2024-01-04T12:00")) == [
        ("ETHUSDT|2024-01-02", "ETHUSDT|2024-01-04")
    ]
    platform.record("indicators", keys(days))
    platform.run_and_fail("indicators", "LTCUSDT|2024-01-04", StoreError("full"))
    assert ranges_asked(platform.tick("indicators_schedule", "2024-01-04T13:00")) == [
        ("LTCUSDT|2024-01-04", "LTCUSDT|2024-01-04")
    ]


def test_each_group_is_asked_for_by_its_own_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUP_SIZES, "day", 2)
    with open_platform(tmp_path) as platform:
        asked = platform.tick("ingestion_schedule", "2024-01-01T12:00")
        assert [one.asset_selection[0].to_user_string() for one in asked] == ["klines", "klines_02"]
        assert ranges_asked(asked) == [
            ("BTCUSDT|2024-01-01", "ETHUSDT|2024-01-01"),
            ("LTCUSDT|2024-01-01", "LTCUSDT|2024-01-01"),
        ]
        _, cursor = platform.look("indicators_sensor", None)
        platform.record("klines_02", ["LTCUSDT|2024-01-01"])
        (request,), _ = platform.look("indicators_sensor", cursor)
        assert request.asset_selection == [dg.AssetKey("indicators_02")]
        assert ranges_asked([request]) == [("LTCUSDT|2024-01-01", "LTCUSDT|2024-01-01")]


def test_indicators_that_did_not_follow_are_made_up_for(platform: Platform) -> None:
    days = ["2024-01-01", "2024-01-02", "2024-01-03"]
    platform.record("klines", keys(days))
    assert ranges_asked(platform.tick("indicators_schedule", "2024-01-03T13:00")) == [
        ("BTCUSDT|2024-01-01", "LTCUSDT|2024-01-03")
    ]
    platform.record("indicators", keys(days))
    assert "as new as their klines" in platform.tick("indicators_schedule", "2024-01-03T13:00")
    platform.record("klines", ["ETHUSDT|2024-01-02"])
    assert ranges_asked(platform.tick("indicators_schedule", "2024-01-03T13:00")) == [
        ("ETHUSDT|2024-01-02", "ETHUSDT|2024-01-03")
    ]


def test_a_market_that_has_ended_keeps_its_own_time(platform: Platform, make_exchange: MakeExchange) -> None:
    settings = platform.settings
    held = HomeProfile("1h", "day", CURRENCIES, START.date(), "ALL", {"kind": "simulated", "seed": 7, "interval": "1h"})
    write_profile(settings.home, held)
    store_klines(platform, dict.fromkeys(CURRENCIES, 60))
    platform.record("klines", keys(["2024-01-01", "2024-01-02", "2024-01-03"]))
    silent = platform.tick("ingestion_schedule", "2031-01-01T00:00")
    assert silent == "every kline finished by 2024-01-03 11:00 is recorded or being asked for"

    market = simulate(7, 3, days=3, interval="1h", start=START)
    make_exchange(market, clock=fixed_clock(to_ms(START + 3 * DAY)), port=urlsplit(settings.exchange_url).port)
    answered = platform.tick("ingestion_schedule", "2031-01-01T12:00")
    assert ranges_asked(answered) == [("BTCUSDT|2024-01-03", "LTCUSDT|2024-01-04")]
    store_klines(platform, dict.fromkeys(CURRENCIES, 72))
    assert isinstance(platform.tick("ingestion_schedule", "2031-01-02T00:00"), str)


def test_the_tick_after_an_outage_longer_than_all_retries_heals_it(
    tmp_path: Path, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Exchange.__init__.__kwdefaults__, "sleep", lambda seconds: None)
    address = f"http://127.0.0.1:{free_port()}"
    with open_platform(tmp_path, exchange_url=address, retries=1, retry_seconds=0) as platform:
        (request,) = platform.tick("ingestion_schedule", "2024-01-03T00:00")
        failed = platform.run(request)
        (failure,) = failed.filter_events(lambda event: event.is_step_failure)
        cause = first_cause(failure.step_failure_data.error)
        assert cause.reason == f"exchange {address} gave no usable answer: nothing answers there"
        assert platform.lake.read(KLINES).is_empty()
        series = make_series(60, start_ms=to_ms(START), interval="1h")
        make_exchange(make_market(dict.fromkeys(CURRENCIES, series), interval="1h"), port=urlsplit(address).port)
        (again,) = platform.tick("ingestion_schedule", "2024-01-03T12:00")
        assert ranges_asked([again]) == ranges_asked([request])
        assert platform.run(again).success
        assert platform.lake.read(KLINES).height == 60 * len(CURRENCIES)
        assert isinstance(platform.tick("ingestion_schedule", "2024-01-03T12:30"), str)

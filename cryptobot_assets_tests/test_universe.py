"""The universe of a deployment: named currencies, or every one that is listed, each in a group for good."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptobot_assets import universe
from cryptobot_assets.domain.universe import Listing
from cryptobot_assets.errors import ExchangeUnreachable, HomeConflict
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import DEFAULT_CURRENCIES, Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.listings import left_out, pooled_currencies, write_listings
from cryptobot_assets.universe import groups_of, listed_currencies, missing_partitions, open_partitions

START = datetime(2024, 1, 1, tzinfo=UTC)
NOBODY = "http://127.0.0.1:9"


def make_listing(position: int, **facts: object) -> Listing:
    name = f"C{position:03}"
    held = {"time": START, "end": None, "kind": "coin", "position": position}
    return Listing(currency=f"{name}USDT", base=name, quote="USDT", **{**held, **facts})


def make_settings(home: Path, **chosen: object) -> Settings:
    return Settings.load(home=home, **{"exchange_url": NOBODY, "currencies": "all", "interval": "1m", **chosen})


def hold(settings: Settings, *listings: Listing) -> Lake:
    lake = Lake(settings.lake_url)
    write_listings(lake, listings)
    return lake


def test_named_currencies_are_static_without_asking_anyone(tmp_path: Path):
    partitions = open_partitions(make_settings(tmp_path, currencies="ETHUSDT,BTCUSDT"))
    assert partitions == Partitions(partitions.settings)
    (group,) = partitions.groups
    assert group.currencies == partitions.currencies == ("ETHUSDT", "BTCUSDT")
    assert missing_partitions(partitions, [make_listing(0)], None) == ({}, [])
    assert partitions.live(None) is partitions
    assert list(tmp_path.iterdir()) == []


def test_a_universe_that_nobody_has_looked_at_has_room_for_all_that_is_listed(make_exchange, tmp_path: Path):
    url = make_exchange(simulate(7, 21, days=1, interval="1h"))
    partitions = open_partitions(make_settings(tmp_path, exchange_url=url))
    assert partitions.universe == ((),) * 7, "room for 121"
    assert partitions.markets == ("ALL", *DEFAULT_CURRENCIES)
    assert Partitions(partitions.settings).markets == partitions.markets, "without asking anyone"
    with pytest.raises(ExchangeUnreachable):
        open_partitions(make_settings(tmp_path, exchange_url=NOBODY))
    assert len(listed_currencies(Exchange(url))) == 21


def test_a_universe_is_laid_out_by_place_with_room_for_a_hundred_more(tmp_path: Path):
    settings = make_settings(tmp_path)
    hold(settings, *(make_listing(position) for position in range(23)))
    partitions = open_partitions(settings)
    assert [len(group.currencies) for group in partitions.groups] == [20, 3, 0, 0, 0, 0, 0]
    assert partitions.markets == ("ALL", *DEFAULT_CURRENCIES), "whoever is listed"
    monthly = open_partitions(make_settings(tmp_path, interval="1h"))
    assert [len(group.currencies) for group in monthly.groups] == [23]


@given(st.integers(0, 70), st.integers(0, 70), st.integers(1, 25))
def test_whoever_comes_later_moves_nobody(before: int, more: int, size: int):
    listings = [make_listing(position) for position in range(before + more)]
    first, later = groups_of(listings[:before], size), groups_of(listings, size)
    assert [name for group in later for name in group] == [one.currency for one in listings]
    assert all(1 <= len(group) <= size for group in later)
    for held, now in zip(first, later, strict=False):
        assert now[: len(held)] == held


def test_a_currency_with_two_lives_has_one_place():
    lives = [make_listing(0, end=START.replace(month=2)), make_listing(0, time=START.replace(month=3)), make_listing(1)]
    assert groups_of(lives, 20) == (("C000USDT", "C001USDT"),)


def test_who_is_listed_becomes_a_partition_in_order_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(universe, "ROOM", 39)
    settings = make_settings(tmp_path)
    listings = [make_listing(position) for position in range(43)]
    hold(settings, *listings[:21])
    partitions = open_partitions(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        added, later = missing_partitions(partitions, listings[:21], instance)
        assert ({name: len(names) for name, names in added.items()}, later) == (
            {"currencies": 20, "currencies_02": 1},
            [],
        )
        for name, names in added.items():
            instance.add_dynamic_partitions(name, names)
        assert missing_partitions(partitions, listings[:21], instance) == ({}, [])
        added, later = missing_partitions(partitions, listings, instance)
        assert added == {
            "currencies_02": [one.currency for one in listings[21:40]],
            "currencies_03": [one.currency for one in listings[40:43]],
        }
        for name, names in added.items():
            instance.add_dynamic_partitions(name, names)
        assert partitions.live(instance).currencies == tuple(one.currency for one in listings)
        beyond = [*listings, *(make_listing(position) for position in range(43, 62))]
        added, later = missing_partitions(partitions, beyond, instance)
        assert (len(added["currencies_03"]), later) == (17, ["C060USDT", "C061USDT"])


def test_pools_hold_the_kinds_that_the_settings_choose_delisted_ones_included(tmp_path: Path):
    settings = make_settings(tmp_path)
    lake = hold(
        settings,
        make_listing(0),
        make_listing(1, kind="stable"),
        make_listing(2, end=START.replace(month=2)),
        make_listing(3, time=START.replace(month=6)),
        make_listing(4, kind="leveraged"),
    )
    march = START.replace(month=3)
    assert pooled_currencies(settings, lake, march) == ("C000USDT", "C002USDT")
    assert left_out(settings, lake) == {"C001USDT", "C004USDT"}
    every = make_settings(tmp_path, kinds="coin, Stable")
    assert pooled_currencies(every, lake, march) == ("C000USDT", "C001USDT", "C002USDT")
    assert left_out(every, lake) == {"C004USDT"}
    named = make_settings(tmp_path, currencies="C001USDT,C003USDT")
    assert pooled_currencies(named, lake, march) == ("C001USDT", "C003USDT"), "named is named"
    assert left_out(named, lake) == frozenset()


def test_a_home_of_one_market_refuses_another(make_exchange):
    url = make_exchange(simulate(7, 1, days=1, interval="1h"))
    assert Exchange(url, expected_market="simulated").server_time()
    with pytest.raises(HomeConflict, match="holds a replay market"):
        Exchange(url, expected_market="replay").server_time()

"""`all` means what trades at the exchange now; a home's market is never mixed with another."""

from __future__ import annotations

import pytest

from cryptobot_assets.errors import HomeConflict
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.universe import with_universe


def test_all_is_every_usdt_symbol_that_trades(make_exchange, tmp_path):
    url = make_exchange(simulate(7, 3, days=1, interval="1h"))
    settings = Settings.load(home=tmp_path, exchange_url=url, currencies="all")
    assert with_universe(settings).currencies == ("BTCUSDT", "ETHUSDT", "BNBUSDT")


def test_named_currencies_are_left_alone_without_asking_anyone(tmp_path):
    settings = Settings.load(home=tmp_path, exchange_url="http://127.0.0.1:9", currencies="ETHUSDT")
    assert with_universe(settings) is settings


def test_a_home_of_one_market_refuses_another(make_exchange):
    url = make_exchange(simulate(7, 1, days=1, interval="1h"))
    assert Exchange(url, expected_market="simulated").server_time()
    with pytest.raises(HomeConflict, match="holds a replay market"):
        Exchange(url, expected_market="replay").server_time()

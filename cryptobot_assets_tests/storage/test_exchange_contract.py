"""Our client of an exchange keeps the contract of all."""

from __future__ import annotations

import pytest

from cryptobot_assets.contracts.exchanges import ExchangeContract
from cryptobot_assets.storage.exchange_client import ExchangeClient, exchange_at
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market


class TestBinance(ExchangeContract):
    @pytest.fixture
    def exchange(self, make_exchange: MakeExchange) -> ExchangeClient:
        return exchange_at(make_exchange(make_market(interval="1h", count=60)))

    @pytest.fixture
    def currency(self) -> str:
        return "BTCUSDT"

"""The paper bot's clock: asked for when there is something to book."""

from __future__ import annotations

import polars as pl

from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.storage.store import INDICATORS, KLINES, PAPER_BALANCES
from cryptobot_assets_tests.automation.ticks import CURRENCIES, Platform


def test_a_run_is_asked_for_once_there_is_a_champion_and_an_hour_to_book(platform: Platform) -> None:
    for name in CURRENCIES:
        for table in (KLINES, INDICATORS):
            platform.lake.replace(table, make_rows(table, currency=name), start=None, end=None, currency=name)
    assert platform.tick("paper_schedule", "2024-01-03 00:05") == "there is no champion yet"
    platform.record("champion_model", ["ALL"])
    [asked] = platform.tick("paper_schedule", "2024-01-03 00:05")
    assert [key.to_user_string() for key in asked.asset_selection] == ["paper_ledger"]
    booked = make_rows(PAPER_BALANCES).with_columns(currency=pl.lit("USDT"))
    platform.lake.replace(PAPER_BALANCES, booked.head(47), start=None, end=None)
    assert len(platform.tick("paper_schedule", "2024-01-03 01:05")) == 1
    platform.lake.replace(PAPER_BALANCES, booked, start=None, end=None)
    assert platform.tick("paper_schedule", "2024-01-03 02:05") == "every hour that can be booked is"

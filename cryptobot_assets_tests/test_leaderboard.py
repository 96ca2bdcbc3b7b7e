"""The leaderboard, read from a real store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.leaderboard import costs_of, evaluate_market, read_closes, read_predictions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS
from cryptobot_assets_tests.contracts.store_contract import make_rows
from cryptobot_assets_tests.factories import hours_after, make_predictions

HOURS = 24 * 12
NAMES = ("ADAUSDT", "BTCUSDT", "ETHUSDT")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path, interval="1h", fee_bps=20.0, slippage_bps=0.0)


@pytest.fixture
def store(settings: Settings) -> Lake:
    """Twelve days of three currencies: `oracle` knows the future, `coin` knows nothing, in market ALL."""
    store = Lake(settings.lake_url)
    closes = pl.concat([make_rows(INDICATORS, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    store.replace(INDICATORS, closes, start=None, end=None)
    coin = make_predictions(closes, algorithm="coin")
    oracle = coin.with_columns(algorithm=pl.lit("oracle"), predicted_return=pl.col("realised_return").fill_null(0.0))
    other = coin.with_columns(market=pl.lit("BTCUSDT"))
    store.replace(PREDICTIONS, pl.concat([coin, oracle, other]), start=None, end=None)
    return store


def test_every_algorithm_of_the_market_is_evaluated_best_first(store: Lake, settings: Settings):
    found = evaluate_market(store, settings, "ALL", draws=20)
    assert [one.algorithm for one in found] == ["oracle", "coin"]
    assert all(one.market == "ALL" and one.score.rows == 3 * (HOURS - 24) for one in found)
    assert found[0].control == found[1].control
    assert found[0].score.mse == pytest.approx(0.0)
    assert costs_of(settings).share == 0.002


def test_a_range_of_days_counts_its_own_rows_and_reads_the_closes_after_it(store: Lake, settings: Settings):
    start, end = hours_after(48), hours_after(96)
    found = evaluate_market(store, settings, "ALL", start=start, end=end, draws=0)
    assert [one.score.rows for one in found] == [3 * 48, 3 * 48]
    assert (found[0].start, found[0].end) == (start, hours_after(95))
    assert len(found[0].hours.predicted) == 48
    closes = store.read(INDICATORS, currency="ADAUSDT")["close"]
    assert np.array_equal(found[0].hours.closes[:, 0], closes[48 : 96 + 24])


def test_a_market_without_predictions_has_no_evaluations(store: Lake, settings: Settings):
    assert evaluate_market(store, settings, "SOLUSDT") == []
    assert evaluate_market(store, settings, "ALL", start=hours_after(HOURS)) == []


def test_a_range_whose_outcomes_are_unknown_has_no_evaluations(store: Lake, settings: Settings):
    assert evaluate_market(store, settings, "ALL", start=hours_after(HOURS - 24)) == []


def test_predictions_come_by_algorithm_and_closes_reach_a_day_further(store: Lake):
    parts = read_predictions(store, "ALL", end=hours_after(10))
    assert list(parts) == ["coin", "oracle"]
    assert parts["coin"]["algorithm"].unique().to_list() == ["coin"]
    closes = read_closes(store, "1h", list(parts.values()))
    assert closes["time"].max() == hours_after(9 + 24)
    assert set(closes["currency"]) == set(NAMES)

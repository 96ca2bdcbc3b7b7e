"""Rows read from a store: the same for training, scoring and serving."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.assets.training_set import TrainingSets
from cryptobot_assets.contracts.factories import START, hours_after, make_klines
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.relative import LONGEST_HOURS, RELATIVE_FEATURES
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.serving.features import StoreFeatureSource
from cryptobot_assets.serving.replies import ApiError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.samples import SampleReader, read_hourly_market
from cryptobot_assets.storage.store import INDICATORS, KLINES

NAMES = tuple(f"{name}USDT" for name in ("ADA", "BTC", "ETH", "LTC", "SOL", "XRP"))
HOURS = LONGEST_HOURS + 24 * 12


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Six currencies by the hour, some without the value traded."""
    lake = Lake(str(tmp_path_factory.mktemp("store") / "lake"))
    klines = pl.concat([make_klines(HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    absent = pl.col("currency") == "ADAUSDT"
    lake.replace(
        KLINES,
        klines.with_columns(quote_volume=pl.when(absent).then(None).otherwise(pl.col("quote_volume"))),
        start=None,
        end=None,
    )
    indicators = pl.concat([make_rows(INDICATORS, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    lake.replace(INDICATORS, indicators, start=None, end=None)
    return lake


def test_hours_of_minutes_have_the_last_close_and_the_sum_of_the_value(tmp_path: Path):
    lake = Lake(str(tmp_path / "lake"))
    minutes = make_klines(300, currency="BTCUSDT", interval="1m").filter(pl.col("time") != START + 59 * HOUR / 60)
    lake.replace(KLINES, minutes, start=None, end=None)
    market = read_hourly_market(lake, "1m", ("BTCUSDT", "XUSDT"), START + HOUR / 3, START + 6 * HOUR)
    assert market.start == START + timedelta(minutes=59)
    assert market.closes.shape == market.traded.shape == (2, 6)
    assert np.isnan(market.closes[0, 0]) and np.isnan(market.closes[0, 5]) and np.isnan(market.traded[0, 5])
    second = minutes.filter(pl.col("time").is_between(START + HOUR, START + 2 * HOUR, closed="left"))
    assert market.closes[0, 1] == second["close"][-1]
    assert market.traded[0, 1] == pytest.approx(second["quote_volume"].sum())
    assert np.isnan(market.closes[1]).all()


def test_value_traded_is_close_by_volume_where_the_exchange_gave_none(store: Lake):
    market = read_hourly_market(store, "1h", NAMES, START, hours_after(5))
    ada = store.read(KLINES, currency="ADAUSDT", end=hours_after(5))
    assert market.traded[0] == pytest.approx((ada["close"] * ada["volume"]).to_numpy())


def test_scoring_one_currency_ranks_it_among_all(store: Lake):
    start, end = hours_after(LONGEST_HOURS + 30), hours_after(LONGEST_HOURS + 54)
    reader = SampleReader(store, "1h", NAMES)
    everyone = reader.read(RELATIVE_FEATURES, NAMES, start, end)
    alone = reader.read(RELATIVE_FEATURES, ("LTCUSDT",), start, end)
    assert len(everyone) == 24 * 6
    assert set(alone.currency) == {"LTCUSDT"}
    assert np.array_equal(alone.X, everyone.X[everyone.currency == "LTCUSDT"])


def test_serving_reads_the_row_that_scoring_does(store: Lake):
    moment = hours_after(LONGEST_HOURS + 40)
    scored = SampleReader(store, "1h", NAMES).read(RELATIVE_FEATURES, ("BTCUSDT",), moment, moment + HOUR)
    source = StoreFeatureSource(store, interval="1h", expected=NAMES, universe=lambda: NAMES)
    assert np.array_equal(source.latest("BTCUSDT", RELATIVE_FEATURES, moment).x, scored.X[0])
    newest = source.latest("BTCUSDT", RELATIVE_FEATURES)
    assert newest.time == hours_after(HOURS - 1)
    section = source.cross_section(RELATIVE_FEATURES)
    assert section.currencies == NAMES
    assert np.array_equal(section.X[1], newest.x)
    with pytest.raises(ApiError, match="no row of BTCUSDT"):
        source.latest("BTCUSDT", RELATIVE_FEATURES, hours_after(3))


def test_training_learns_what_each_gains_on_the_others_and_knows_no_later_close(store: Lake, tmp_path: Path):
    settings = Settings.load(home=tmp_path, interval="1h")
    cutoff = hours_after(LONGEST_HOURS + 24 * 8)
    made = TrainingSets(settings, RELATIVE_FEATURES).read(store, NAMES, "ALL", cutoff)
    assert made.store_version == f"klines@{store.version(KLINES)}"
    last = made.samples.time.max()
    assert last == np.datetime64((cutoff - 25 * HOUR).replace(tzinfo=None), "us")
    hour = made.samples.time == last
    assert made.target[hour] == pytest.approx(made.samples.y[hour] - made.samples.y[hour].mean())
    with pytest.raises(NotEnoughHistory, match="at least 35 days"):
        TrainingSets(settings, RELATIVE_FEATURES).read(store, NAMES, "ALL", hours_after(LONGEST_HOURS))


def test_rows_are_the_same_however_few_currencies_are_held_at_a_time(store: Lake, monkeypatch: pytest.MonkeyPatch):
    span = (START + 24 * 29 * HOUR, START + HOURS * HOUR)
    reader, held = SampleReader(store, "1h", NAMES), []
    features = ("close_lag_1h", "close_lag_672h")
    whole = reader.read(features, NAMES, *span)

    def read(*args: object, **kwargs: object) -> pl.DataFrame:
        held.append(Lake.read(store, *args, **kwargs))
        return held[-1]

    monkeypatch.setattr("cryptobot_assets.storage.samples.HELD_ROWS", 2 * (HOURS + 48))
    monkeypatch.setattr(store, "read", read)
    parts = reader.read(features, NAMES, *span)
    assert max(frame["currency"].n_unique() for frame in held) <= 2 < len(held)
    assert len(whole) and parts.dropped == whole.dropped and (parts.currency == whole.currency).all()
    for name in ("time", "X", "y"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))

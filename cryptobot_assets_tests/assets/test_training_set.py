"""Training sets: nothing after the cutoff, the same again from the same store, thinned without bias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.assets.training_set import TrainingSets, evenly
from cryptobot_assets.contracts.factories import START, hours_after
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS

NAMES = ("ADAUSDT", "BTCUSDT")
FEATURES = ("close_lag_25h", "rsi_14h")
HOURS = 24 * 30
CUTOFF = START + 20 * DAY


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path, interval="1h")


@pytest.fixture
def store(settings: Settings) -> Lake:
    store = Lake(settings.lake_url)
    rows = pl.concat([make_rows(INDICATORS, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    store.replace(INDICATORS, rows, start=None, end=None)
    return store


def test_every_label_is_known_at_the_cutoff(store: Lake, settings: Settings):
    made = TrainingSets(settings, FEATURES).read(store, NAMES, "ALL", CUTOFF)
    assert made.samples.time.max() == np.datetime64("2024-01-19T23", "us")
    assert made.samples.time.min() == np.datetime64("2024-01-02T01", "us")
    assert np.isfinite(made.samples.y).all()
    assert np.isfinite(made.samples.X).all()
    assert made.dropped == 2 * 25
    assert len(made.samples) == 2 * (19 * 24 - 25)
    assert made.store_version == f"indicators@{store.version(INDICATORS)}"


def test_the_future_changes_nothing(store: Lake, settings: Settings):
    before = TrainingSets(settings, FEATURES).read(store, NAMES, "ALL", CUTOFF)
    rows = store.read(INDICATORS, start=CUTOFF).with_columns(pl.col("close") * 3)
    store.replace(INDICATORS, rows, start=CUTOFF, end=None)
    after = TrainingSets(settings, FEATURES).read(store, NAMES, "ALL", CUTOFF)
    assert after.digest == before.digest
    assert after.store_version != before.store_version


def test_the_past_does(store: Lake, settings: Settings):
    sets = TrainingSets(settings, FEATURES)
    before = sets.read(store, NAMES, "ALL", CUTOFF)
    assert sets.read(store, NAMES, "ALL", CUTOFF) is before
    hour = hours_after(24 * 20 - 1)
    rows = store.read(INDICATORS, start=hour, end=CUTOFF).with_columns(pl.col("close") * 1.001)
    store.replace(INDICATORS, rows, start=hour, end=CUTOFF)
    after = sets.read(store, NAMES, "ALL", CUTOFF)
    assert after.digest != before.digest
    assert np.array_equal(after.samples.X, before.samples.X)


def test_a_market_of_one_currency_reads_that_one(store: Lake, settings: Settings):
    sets = TrainingSets(settings, FEATURES)
    pooled = sets.read(store, NAMES, "ALL", CUTOFF)
    alone = sets.read(store, ["BTCUSDT"], "BTCUSDT", CUTOFF)
    assert set(alone.samples.currency) == {"BTCUSDT"}
    mine = pooled.samples.take(pooled.samples.currency == "BTCUSDT")
    assert np.array_equal(alone.samples.X, mine.X)


def test_training_begins_so_many_days_before_the_cutoff(store: Lake, tmp_path: Path):
    short = Settings.load(home=tmp_path, interval="1h", train_days=10)
    made = TrainingSets(short, FEATURES).read(store, NAMES, "ALL", CUTOFF)
    assert made.samples.time.min() == np.datetime64("2024-01-11T00", "us")
    assert made.dropped == 0


@pytest.mark.parametrize("cutoff", [START - DAY, START + 2 * DAY])
def test_too_little_history_says_how_much_is_needed(store: Lake, settings: Settings, cutoff):
    with pytest.raises(NotEnoughHistory, match=r"market ALL has .* ingest at least 35 days"):
        TrainingSets(settings, FEATURES).read(store, NAMES, "ALL", cutoff)


def make_samples(hours: int, currencies: int) -> Samples:
    time = np.repeat(np.datetime64("2024-01-01", "us") + np.arange(hours) * np.timedelta64(1, "h"), currencies)
    names = np.tile(np.array([f"C{n}" for n in range(currencies)], dtype=object), hours)
    rows = np.arange(hours * currencies, dtype=float)
    return Samples(("row",), names, time, rows[:, None], rows, dropped=3)


def test_thinning_leaves_few_rows_alone():
    assert evenly(30, 30).tolist() == list(range(30))


@pytest.mark.parametrize(("currencies", "most"), [(10, 2400), (10, 2399), (24, 8000), (7, 9000)])
def test_thinning_favours_no_currency_and_no_hour_at_any_time(currencies: int, most: int):
    samples = make_samples(2400, currencies)
    thinned = samples.take(evenly(len(samples), most))
    assert len(thinned) == most
    assert (np.diff(thinned.X[:, 0]) > 0).all()
    assert np.array_equal(evenly(len(samples), most), evenly(len(samples), most))
    for part in np.array_split(np.arange(len(thinned)), 4):
        _, by_currency = np.unique(thinned.currency[part].astype(str), return_counts=True)
        assert len(by_currency) == currencies
        assert by_currency.max() < 2.2 * by_currency.min()
        hour = (thinned.time[part] - thinned.time[part].astype("datetime64[D]")).astype("timedelta64[h]").astype(int)
        assert len(np.unique(hour)) == 24
    spans = np.histogram(thinned.X[:, 0], bins=8, range=(0, len(samples)))[0]
    assert spans.max() < 1.25 * spans.min()

"""Live features over a real lake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.samples import make_samples
from cryptobot_assets.errors import StoreError, UnknownCurrency
from cryptobot_assets.serving.features import CHECK_SECONDS, StoreFeatureSource
from cryptobot_assets.serving.replies import ApiError
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS
from cryptobot_assets_tests.serving.platform import DAYS, START, make_indicators

END = START + timedelta(days=DAYS)
NEWEST = END - timedelta(hours=1)
BTC, ETH = make_indicators("BTCUSDT"), make_indicators("ETHUSDT")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def tick(self) -> None:
        """Let enough time pass for the next look at the store."""
        self.now += CHECK_SECONDS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def source(lake: Lake, clock: Clock) -> StoreFeatureSource:
    write(lake, BTC)
    return StoreFeatureSource(lake, interval="1h", expected=("BTCUSDT", "SOLUSDT"), clock=clock)


def write(lake: Lake, rows: pl.DataFrame) -> None:
    lake.replace(INDICATORS, rows, start=None, end=None, currency=rows["currency"][0])


def until(rows: pl.DataFrame, time: datetime) -> pl.DataFrame:
    return rows.filter(pl.col("time") <= time)


def expected(rows: pl.DataFrame, time: datetime) -> np.ndarray:
    end = time + timedelta(hours=1)
    return make_samples(rows, features=DEFAULT_FEATURES, interval="1h", start=time, end=end).X[0]


def test_the_newest_row_has_the_features_a_model_is_trained_on(source: StoreFeatureSource) -> None:
    row = source.latest("BTCUSDT", DEFAULT_FEATURES)
    assert (row.time, row.known_at) == (NEWEST, END)
    assert row.time.tzinfo is UTC or row.time.utcoffset() == timedelta(0)
    assert np.array_equal(row.x, expected(BTC, NEWEST))


def test_a_row_of_the_past_is_found_by_its_open_time(source: StoreFeatureSource) -> None:
    time = START + timedelta(days=33, hours=5)
    row = source.latest("BTCUSDT", DEFAULT_FEATURES, time)
    assert row.time == time
    assert np.array_equal(row.x, expected(BTC, time))


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (NEWEST - timedelta(minutes=30), "time_off_grid"),
        (NEWEST + timedelta(hours=1), "no_such_row"),
        (START - timedelta(hours=1), "no_such_row"),
        (START, "no_such_row"),
    ],
)
def test_a_time_without_a_whole_row_is_refused_with_what_is_stored(
    source: StoreFeatureSource, time: datetime, code: str
) -> None:
    with pytest.raises(ApiError) as refused:
        source.latest("BTCUSDT", DEFAULT_FEATURES, time)
    assert (refused.value.status, refused.value.code, refused.value.field) == (400, code, "time")
    if code == "no_such_row":
        assert "2024-01-01T00:00:00Z to 2024-02-09T23:00:00Z" in str(refused.value)


@pytest.mark.parametrize("missing_hours", [1, 30])
def test_the_newest_whole_row_answers_when_newer_ones_lack_a_feature(
    source: StoreFeatureSource, lake: Lake, missing_hours: int
) -> None:
    last_whole = NEWEST - timedelta(hours=missing_hours)
    lacking = pl.when(pl.col("time") <= last_whole).then(pl.col("ma7_25d_scale")).alias("ma7_25d_scale")
    write(lake, BTC.with_columns(lacking))
    row = source.latest("BTCUSDT", DEFAULT_FEATURES)
    assert row.time == last_whole
    assert np.array_equal(row.x, expected(BTC, last_whole))


def test_an_unknown_currency_names_close_ones(source: StoreFeatureSource) -> None:
    with pytest.raises(UnknownCurrency, match="BTCUSDT"):
        source.latest("BTCUSD", DEFAULT_FEATURES)


def test_a_configured_currency_without_rows_is_no_fault_of_the_caller(source: StoreFeatureSource) -> None:
    with pytest.raises(ApiError) as refused:
        source.latest("SOLUSDT", DEFAULT_FEATURES)
    assert refused.value.status == 503


def test_too_short_a_history_is_503(lake: Lake, source: StoreFeatureSource) -> None:
    write(lake, until(ETH, START + timedelta(days=20)))
    with pytest.raises(ApiError) as refused:
        source.latest("ETHUSDT", DEFAULT_FEATURES)
    assert refused.value.status == 503


def test_new_rows_are_seen_after_the_next_look_and_not_read_again_before(
    lake: Lake, source: StoreFeatureSource, clock: Clock
) -> None:
    earlier = NEWEST - timedelta(hours=3)
    write(lake, until(BTC, earlier))
    assert not source.ready("BTCUSDT", DEFAULT_FEATURES)
    first = source.latest("BTCUSDT", DEFAULT_FEATURES)
    assert first.time == earlier
    assert source.ready("BTCUSDT", DEFAULT_FEATURES)
    assert not source.ready("BTCUSDT", DEFAULT_FEATURES[:3])
    write(lake, BTC)
    assert source.latest("BTCUSDT", DEFAULT_FEATURES) is first
    clock.tick()
    assert not source.ready("BTCUSDT", DEFAULT_FEATURES)
    second = source.latest("BTCUSDT", DEFAULT_FEATURES)
    assert second.time == NEWEST
    with pytest.raises(ApiError, match="2024-01-01T00:00:00Z to 2024-02-09T23:00:00Z"):
        source.latest("BTCUSDT", DEFAULT_FEATURES, END)
    clock.tick()
    assert source.latest("BTCUSDT", DEFAULT_FEATURES) is second


def test_a_changed_past_is_read_again(lake: Lake, source: StoreFeatureSource, clock: Clock) -> None:
    before = source.latest("BTCUSDT", DEFAULT_FEATURES)
    write(lake, make_indicators("BTCUSDT", seed=1))
    clock.tick()
    after = source.latest("BTCUSDT", DEFAULT_FEATURES)
    assert after.time == before.time
    assert not np.array_equal(after.x, before.x)


def test_a_new_currency_is_found_even_when_its_rows_are_old(
    lake: Lake, source: StoreFeatureSource, clock: Clock
) -> None:
    source.latest("BTCUSDT", DEFAULT_FEATURES)
    old = NEWEST - timedelta(days=5)
    write(lake, until(ETH, old))
    clock.tick()
    assert source.latest("ETHUSDT", DEFAULT_FEATURES).time == old


def test_an_emptied_table_is_noticed(lake: Lake, source: StoreFeatureSource, clock: Clock) -> None:
    source.latest("BTCUSDT", DEFAULT_FEATURES)
    lake.replace(INDICATORS, BTC.clear(), start=None, end=None)
    clock.tick()
    with pytest.raises(ApiError) as refused:
        source.latest("BTCUSDT", DEFAULT_FEATURES)
    assert refused.value.status == 503


class FailingStore:
    """A store that stops answering when told to."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self.down = False

    def __getattr__(self, name: str) -> object:
        if self.down:
            raise StoreError("cannot read the store")
        return getattr(self._lake, name)


def test_a_store_that_stops_answering_leaves_what_is_held(lake: Lake, clock: Clock) -> None:
    write(lake, BTC)
    store = FailingStore(lake)
    source = StoreFeatureSource(store, interval="1h", clock=clock)
    held = source.latest("BTCUSDT", DEFAULT_FEATURES)
    store.down = True
    clock.tick()
    assert source.latest("BTCUSDT", DEFAULT_FEATURES) is held
    with pytest.raises(StoreError):
        StoreFeatureSource(store, interval="1h", clock=clock).latest("BTCUSDT", DEFAULT_FEATURES)


@pytest.mark.parametrize(
    ("eth_newest", "common", "currencies"),
    [
        (NEWEST, NEWEST, ("BTCUSDT", "ETHUSDT")),
        (NEWEST - timedelta(hours=1), NEWEST - timedelta(hours=1), ("BTCUSDT", "ETHUSDT")),
        (NEWEST - timedelta(hours=2), NEWEST, ("BTCUSDT",)),
    ],
)
def test_the_cross_section_is_at_the_newest_common_time_of_the_recent(
    lake: Lake, source: StoreFeatureSource, eth_newest: datetime, common: datetime, currencies: tuple[str, ...]
) -> None:
    write(lake, until(ETH, eth_newest))
    write(lake, until(make_indicators("NEWUSDT"), NEWEST).filter(pl.col("time") > NEWEST - timedelta(days=3)))
    write(lake, make_indicators("GAPUSDT").with_columns(close_minmax_scale=pl.lit(None, pl.Float64)))
    section = source.cross_section(DEFAULT_FEATURES)
    assert (section.time, section.known_at, section.currencies) == (common, common + timedelta(hours=1), currencies)
    assert np.array_equal(section.X[0], expected(BTC, common))
    if len(currencies) == 2:
        assert np.array_equal(section.X[1], expected(ETH, common))


def test_the_cross_section_of_chosen_currencies(lake: Lake, source: StoreFeatureSource) -> None:
    write(lake, ETH)
    assert source.cross_section(DEFAULT_FEATURES, ("ETHUSDT",)).currencies == ("ETHUSDT",)


def test_the_cross_section_is_of_the_universe_as_it_is_by_then(lake: Lake) -> None:
    write(lake, BTC)
    write(lake, ETH)
    universe = ["ETHUSDT", "NEWUSDT"]
    source = StoreFeatureSource(lake, interval="1h", universe=lambda: universe)
    assert source.cross_section(DEFAULT_FEATURES).currencies == ("ETHUSDT",)
    universe[:] = ["ELSEUSDT"]
    other = StoreFeatureSource(lake, interval="1h", universe=lambda: universe)
    assert other.cross_section(DEFAULT_FEATURES).currencies == ("BTCUSDT", "ETHUSDT")


def test_nothing_stored_gives_no_cross_section(lake: Lake) -> None:
    with pytest.raises(ApiError) as refused:
        StoreFeatureSource(lake, interval="1h").cross_section(DEFAULT_FEATURES)
    assert refused.value.status == 503

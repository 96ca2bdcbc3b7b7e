"""The stored indicators: what they mean, and that none of them knows the future."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START, make_closes
from cryptobot_assets.domain.indicators import (
    INDICATOR_NAMES,
    INDICATOR_SCHEMA,
    INDICATORS,
    LONGEST_LOOKBACK,
    LOOKBACK,
    indicator_frame,
)
from cryptobot_assets.domain.intervals import DAY, HOUR, interval_delta
from cryptobot_assets_tests.domain.slow_indicators import slow_indicators

BOTH = pytest.mark.parametrize("interval", ["1m", "1h"])
EVERY = pytest.mark.parametrize("name", INDICATOR_NAMES)
LOOKING_BACK = pytest.mark.parametrize("indicator", INDICATORS[1:], ids=lambda one: one.name)

KNOWN_ROWS = [
    (2951.05, -2.862040404, 6.6394285714, -122.3024571429, -0.000969838, 0.002249853, -0.0414437089),
    (2950.26, -3.1062505051, 6.3083428571, -122.4149142857, -0.0010528735, 0.0021382329, -0.0414929241),
    (2949.2, -2.8162666667, 5.9367428571, -122.2489714286, -0.0009549256, 0.0020130011, -0.0414515704),
]
"""Close, ma25_99h, ma7_25h, ma7_25d and their scales as the replaced system computed them for ETHUSDT."""


def cents(difference: float, denominator: int) -> float:
    """How far `difference` times `denominator` is from a whole number of cents."""
    scaled = difference * denominator * 100
    return abs(scaled - round(scaled))


def history(interval: str, days: int = 110, **options: object) -> pl.DataFrame:
    return make_closes(int(days * DAY / interval_delta(interval)), interval=interval, **options)


def row_at(closes: pl.DataFrame, interval: str, time: datetime) -> dict[str, float | None]:
    """The indicators of one row from these closes, its day loaded alone."""
    day = time.replace(hour=0, minute=0)
    return indicator_frame(closes, interval, day, day + DAY).row(by_predicate=pl.col("time") == time, named=True)


# What they mean


@pytest.mark.parametrize("known", KNOWN_ROWS)
def test_known_differences_are_whole_cents_over_our_sample_counts(known):
    _, ma25_99h, ma7_25h, ma7_25d, *_ = known
    assert cents(ma25_99h, math.lcm(25, 99)) < 1e-4
    assert cents(ma7_25h, math.lcm(7, 25)) < 1e-4
    assert cents(ma7_25d, math.lcm(7, 25)) < 1e-4


def test_other_sample_counts_do_not_explain_the_known_differences():
    others = [(25, 100), (25, 98), (24, 99), (26, 99)]
    assert all(max(cents(known[1], math.lcm(*counts)) for known in KNOWN_ROWS) > 0.01 for counts in others)


@pytest.mark.parametrize("known", KNOWN_ROWS)
def test_known_scales_are_differences_over_close(known):
    close, *differences, scale_25_99h, scale_7_25h, scale_7_25d = known
    for difference, scale in zip(differences, (scale_25_99h, scale_7_25h, scale_7_25d), strict=True):
        assert difference / close == pytest.approx(scale, abs=6e-11)


@BOTH
def test_our_differences_have_the_form_of_the_known_ones(interval):
    end = START + 110 * DAY
    frame = indicator_frame(history(interval), interval, end - DAY, end)
    for name, counts in {"ma25_99h": (25, 99), "ma7_25h": (7, 25), "ma7_25d": (7, 25), "ma25_99d": (25, 99)}.items():
        values = frame[name].to_list()
        assert max(cents(value, math.lcm(*counts)) for value in values) < 1e-3
        assert max(cents(value, counts[1]) for value in values) > 0.01
        assert frame[f"{name}_scale"].to_list() == [v / c for v, c in zip(values, frame["close"], strict=True)]


@lru_cache(maxsize=2)
def with_gaps(interval: str) -> tuple[pl.DataFrame, dict[datetime, dict[str, float | None]]]:
    """Closes of 140 days with holes, and every indicator of the last 41 days' rows that are asked for."""
    holes = [(START + 20 * DAY + 5 * HOUR, START + 20 * DAY + 7 * HOUR)]
    holes += [(START + 100 * DAY + 13 * HOUR, START + 100 * DAY + 13 * HOUR + interval_delta(interval))]
    closes = history(interval, 140, gaps=holes, seed=3)
    starts = [START + day * DAY for day in (30, 100, 105, 128, 139)]
    frames = [indicator_frame(closes, interval, start, start + DAY) for start in starts]
    return closes, {row["time"]: row for frame in frames for row in frame.iter_rows(named=True)}


@BOTH
def test_equal_the_slow_reference(interval):
    closes, rows = with_gaps(interval)
    by_time = dict(zip(closes["time"], closes["close"], strict=True))
    times = sorted(rows)[:: len(rows) // (8 if interval == "1m" else 40)]
    unknown = dict.fromkeys(INDICATOR_NAMES, 0)
    for time in times:
        expected = slow_indicators(by_time, time, interval)
        for name, value in expected.items():
            found = rows[time][name]
            unknown[name] += value is None
            assert (found is None) == (value is None), (name, time)
            if value is not None:
                assert found == pytest.approx(value, rel=1e-9, abs=1e-12 * abs(by_time[time])), (name, time)
    assert all(0 < count < len(times) for name, count in unknown.items() if name in ("close_minmax_scale", "rsi_14h"))


@BOTH
def test_a_flat_price_has_no_scale_but_no_difference_either(interval):
    flat = history(interval).with_columns(close=pl.lit(5.0))
    row = row_at(flat, interval, START + 109 * DAY)
    assert [row[name] for name in ("close_minmax_scale", "rsi_14h", "bollinger_20h")] == [None] * 3
    assert [row[name] for name in ("ma7_25h", "ma25_99d", "ma25_99h_scale")] == [0.0] * 3
    assert row["macd_12_26_9h"] == pytest.approx(0.0, abs=1e-12)


def test_a_price_that_only_rises_has_the_extreme_values():
    rising = history("1h").with_columns(close=pl.int_range(pl.len()).cast(pl.Float64) + 1)
    row = row_at(rising, "1h", START + 109 * DAY)
    assert row["rsi_14h"] == 100.0
    assert row["close_minmax_scale"] == 1.0
    assert row["ma7_25h"] == pytest.approx(9.0)
    assert row["ma7_25d"] == pytest.approx(9.0 * 24)


# What they know


@lru_cache(maxsize=16)
def future_changed(interval: str, time: datetime, how: str) -> tuple[dict, dict]:
    closes = history(interval, 105, seed=5)
    later = pl.col("time") > time
    changed = {
        "multiplied": lambda: closes.with_columns(pl.when(later).then(pl.col("close") * 7).otherwise("close")),
        "removed": lambda: closes.filter(~later),
        "every other removed": lambda: closes.filter(~later | (pl.int_range(pl.len()) % 2 == 0)),
    }[how]()
    return row_at(closes, interval, time), row_at(changed, interval, time)


@EVERY
@pytest.mark.parametrize("how", ["multiplied", "removed", "every other removed"])
@pytest.mark.parametrize("at", [timedelta(0), timedelta(hours=10, minutes=37), timedelta(hours=23)], ids=str)
@BOTH
def test_the_future_changes_nothing(interval, at, how, name):
    at = at if interval == "1m" else timedelta(hours=at // HOUR)
    before, after = future_changed(interval, START + 103 * DAY + at, how)
    assert before[name] is not None
    assert after[name] == before[name]


def spacing(name: str, interval: str) -> timedelta:
    """Between the samples an indicator reads."""
    if name == "close_minmax_scale":
        return interval_delta(interval)
    return DAY if "d" in name.replace("_scale", "")[-3:] and name.startswith("ma") else HOUR


@LOOKING_BACK
@BOTH
def test_only_the_declared_lookback_is_read_and_all_of_it(interval, indicator):
    closes = history(interval, 105, seed=6)
    time = START + 103 * DAY + (timedelta(hours=9, minutes=41) if interval == "1m" else 9 * HOUR)
    first = time - indicator.lookback + spacing(indicator.name, interval)
    whole = row_at(closes, interval, time)[indicator.name]
    assert whole is not None
    assert row_at(closes.filter(pl.col("time") >= first), interval, time)[indicator.name] == whole
    assert row_at(closes.filter(pl.col("time") > first), interval, time)[indicator.name] is None


def test_minutes_between_the_samples_are_not_read():
    closes = history("1m", 105, seed=7)
    time = START + 103 * DAY + timedelta(hours=9, minutes=41)
    thinned = row_at(closes.filter(pl.col("time").dt.minute() == 41), "1m", time)
    whole = row_at(closes, "1m", time)
    assert thinned["close_minmax_scale"] is None
    assert {**whole, "close_minmax_scale": None} == thinned


def test_lookbacks_stay_within_what_callers_load():
    assert max(one.lookback for one in INDICATORS) == LONGEST_LOOKBACK
    beyond = {one.name for one in INDICATORS if one.lookback > LOOKBACK}
    assert beyond == {"ma25_99d", "ma25_99d_scale"}


@BOTH
def test_one_ranged_load_equals_day_by_day_loads_bit_for_bit(interval):
    closes = history(interval, 106, seed=8, gaps=[(START + 104 * DAY + 3 * HOUR, START + 104 * DAY + 5 * HOUR)])
    first, days = START + 101 * DAY, 5
    ranged = indicator_frame(closes, interval, first, first + days * DAY)
    loaded = []
    for start in (first + n * DAY for n in range(days)):
        needed = closes.filter(pl.col("time").is_between(start - LONGEST_LOOKBACK, start + DAY, closed="left"))
        loaded.append(indicator_frame(needed, interval, start, start + DAY))
    assert ranged.height == closes.filter(pl.col("time") >= first).height
    assert_frame_equal(pl.concat(loaded), ranged, check_exact=True)


# Gaps and edges


@BOTH
def test_a_gap_makes_null_what_touches_it_and_nothing_else(interval):
    hole = START + 102 * DAY + 6 * HOUR
    closes = history(interval, 140, seed=9, gaps=[(hole, hole + interval_delta(interval))])
    frame = indicator_frame(closes, interval, hole.replace(hour=0), START + 140 * DAY)
    assert hole not in set(frame["time"])
    touching = {
        "ma7_25h": [hole + back * HOUR for back in range(1, 25)],
        "ma25_99h": [hole + back * HOUR for back in range(1, 99)],
        "bollinger_20h": [hole + back * HOUR for back in range(1, 20)],
        "ma7_25d": [hole + back * DAY for back in range(1, 25)],
        "rsi_14h": [hole + back * HOUR for back in range(1, 672)],
        "macd_12_26_9h": [hole + back * HOUR for back in range(1, 672)],
    }
    for name, times in touching.items():
        assert frame.filter(pl.col(name).is_null())["time"].to_list() == times, name
    unscaled = frame.filter(pl.col("close_minmax_scale").is_null())["time"]
    assert (unscaled[0], unscaled[-1]) == (hole + interval_delta(interval), hole + LOOKBACK - interval_delta(interval))
    assert len(unscaled) == LOOKBACK / interval_delta(interval) - 1


def test_a_late_listing_knows_each_indicator_once_its_lookback_is_full():
    closes = history("1h", 120, seed=10)
    frame = indicator_frame(closes, "1h", START, START + 120 * DAY)
    assert frame.height == 120 * 24
    known = {name: frame.filter(pl.col(name).is_not_null())["time"].min() - START for name in INDICATOR_NAMES}
    assert known["close"] == timedelta(0)
    assert known["bollinger_20h"] == 19 * HOUR
    assert known["ma7_25h"] == 24 * HOUR
    assert known["ma25_99h"] == 98 * HOUR
    assert known["ma7_25d"] == 24 * DAY
    assert known["close_minmax_scale"] == known["rsi_14h"] == known["macd_12_26_9h"] == 671 * HOUR
    assert known["ma25_99d"] == known["ma25_99d_scale"] == 98 * DAY


def test_currencies_do_not_touch_each_other():
    one, other = history("1h", 40, seed=1), history("1h", 35, seed=2, currency="ETHUSDT")
    day = START + 34 * DAY
    together = indicator_frame(pl.concat([other, one]).sample(fraction=1, shuffle=True, seed=1), "1h", day, day + DAY)
    alone = [indicator_frame(closes, "1h", day, day + DAY) for closes in (one, other)]
    assert_frame_equal(together, pl.concat(alone), check_exact=True)


def test_rows_outside_the_range_are_read_but_not_given():
    closes = history("1h", 40)
    day = START + 30 * DAY
    assert indicator_frame(closes, "1h", day, day + DAY)["time"].to_list() == [day + n * HOUR for n in range(24)]


@pytest.mark.parametrize(("late", "early"), [(HOUR, 0 * HOUR), (0 * HOUR, HOUR)])
def test_a_range_of_parts_of_days_is_refused_in_words(late: timedelta, early: timedelta):
    with pytest.raises(ValueError, match="whole days"):
        indicator_frame(make_closes(48), "1h", START + late, START + 2 * DAY - early)


def test_nothing_gives_an_empty_frame_of_the_schema():
    frame = indicator_frame(history("1h", 1).clear(), "1h", START, START + DAY)
    assert frame.height == 0
    assert frame.schema == pl.Schema(INDICATOR_SCHEMA)
    assert indicator_frame(history("1h", 1), "1h", START + 9 * DAY, START + 10 * DAY).height == 0
    assert indicator_frame(history("1h", 1), "1h", START, START + DAY).schema == pl.Schema(INDICATOR_SCHEMA)


@pytest.mark.recorded
def test_recorded_outage_empties_what_reads_672_hours_until_it_is_past(recorded_klines: Path):
    hole = datetime(2023, 3, 24, 13, tzinfo=UTC)
    recorded = (
        pl.scan_parquet(recorded_klines / "spot-1h-2022-08_2023-12.parquet")
        .filter(pl.col("currency").is_in(["BTC", "ETH"]))
        .select("currency", "time", "close")
        .collect()
    )
    start, end = datetime(2023, 3, 20, tzinfo=UTC), datetime(2023, 4, 30, tzinfo=UTC)
    frame = indicator_frame(recorded, "1h", start, end)
    assert frame.height == 2 * (41 * 24 - 1)
    for name in ("close_minmax_scale", "rsi_14h", "macd_12_26_9h"):
        empty = frame.filter(pl.col(name).is_null(), pl.col("currency") == "BTC")["time"].to_list()
        assert empty == [hole + back * HOUR for back in range(1, 672)]
    known = frame.drop_nulls("close_minmax_scale")["close_minmax_scale"].to_numpy()
    assert np.all((known >= 0) & (known <= 1))


@pytest.mark.parametrize("names", [{"close"}, {"ma7_25h_scale", "rsi_14h"}, {"ma25_99d", "close_minmax_scale"}])
def test_indicators_that_are_asked_for_are_those_of_all(names: set[str]):
    closes = make_closes(24 * 101)
    end = START + 101 * DAY
    every = indicator_frame(closes, "1h", START + 99 * DAY, end)
    some = indicator_frame(closes, "1h", START + 99 * DAY, end, names)
    assert some.equals(every.select("currency", "time", *(name for name in INDICATOR_NAMES if name in names)))
    assert indicator_frame(closes.head(0), "1h", START, end, names).schema == some.schema

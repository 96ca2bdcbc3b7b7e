"""Rows for training: what features and labels of them mean, and that neither leak."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import START, make_closes
from cryptobot_assets.domain.features import DEFAULT_FEATURES, LAG_HOURS
from cryptobot_assets.domain.indicators import INDICATOR_NAMES, indicator_frame
from cryptobot_assets.domain.intervals import DAY, HOUR, interval_delta
from cryptobot_assets.domain.samples import label_end, make_samples

ALL_FEATURES = (*DEFAULT_FEATURES, *(name for name in INDICATOR_NAMES if name not in DEFAULT_FEATURES))
MINUTE = timedelta(minutes=1)


def make_frame(closes: pl.DataFrame, interval: str = "1h", *, first_day: int = 0) -> pl.DataFrame:
    """The indicators of every row from `first_day` on."""
    start, end = START + first_day * DAY, closes["time"].max().replace(hour=0, minute=0) + DAY
    return indicator_frame(closes, interval, start, end)


def naive(time) -> np.datetime64:
    return np.datetime64(time.replace(tzinfo=None), "us")


def test_a_lag_is_the_earlier_close_over_this_one():
    closes = make_closes(60 * 24)
    price = dict(zip(closes["time"].dt.replace_time_zone(None).to_list(), closes["close"], strict=True))
    samples = make_samples(
        make_frame(closes), features=DEFAULT_FEATURES, interval="1h", start=START + 40 * DAY, end=START + 41 * DAY
    )
    assert len(samples) == 24
    for row, time in enumerate(samples.time.tolist()):
        for hours in LAG_HOURS:
            found = samples.X[row, DEFAULT_FEATURES.index(f"close_lag_{hours}h")]
            assert found == price[time - hours * HOUR] / price[time] - 1
        assert samples.y[row] == price[time + DAY] / price[time] - 1


def test_a_lag_is_positive_after_a_fall():
    falling = make_closes(72).with_columns(close=100.0 - pl.int_range(pl.len()))
    made = make_samples(
        make_frame(falling), features=("close_lag_1h",), interval="1h", start=START + DAY, end=START + DAY + HOUR
    )
    assert made.X.item() == 77 / 76 - 1
    assert made.y.item() == 52 / 76 - 1


def test_stored_features_come_from_the_frame_unchanged():
    frame = make_frame(make_closes(45 * 24))
    start = START + 40 * DAY
    samples = make_samples(frame, features=("rsi_14h", "ma7_25d_scale"), interval="1h", start=start, end=start + DAY)
    stored = frame.filter(pl.col("time").is_between(start, start + DAY, closed="left"))
    assert np.array_equal(samples.X, stored.select("rsi_14h", "ma7_25d_scale").to_numpy())


def test_samples_are_sorted_by_time_and_then_currency():
    frames = [make_frame(make_closes(30 * 24, currency=name, seed=n)) for n, name in enumerate(["SOL", "ADA", "BTC"])]
    shuffled = pl.concat(frames).sample(fraction=1, shuffle=True, seed=3)
    samples = make_samples(shuffled, features=("close_lag_25h",), interval="1h", start=START, end=START + 30 * DAY)
    pairs = list(zip(samples.time.tolist(), samples.currency, strict=True))
    assert pairs == sorted(pairs)
    assert list(samples.currency[:3]) == ["ADA", "BTC", "SOL"]
    for number, name in enumerate(["SOL", "ADA", "BTC"]):
        alone = make_samples(
            frames[number], features=("close_lag_25h",), interval="1h", start=START, end=START + 30 * DAY
        )
        mine = samples.take(samples.currency == name)
        assert np.array_equal(mine.X, alone.X)
        assert np.array_equal(mine.y, alone.y, equal_nan=True)


def test_rows_lacking_a_feature_are_dropped_and_counted():
    hole = START + 20 * DAY
    closes = make_closes(30 * 24, gaps=[(hole, hole + 2 * HOUR)])
    samples = make_samples(
        make_frame(closes), features=("close_lag_25h",), interval="1h", start=START, end=START + 30 * DAY
    )
    lacking = {naive(START + n * HOUR) for n in range(25)} | {naive(hole + n * HOUR) for n in (25, 26)}
    assert samples.dropped == len(lacking) == 27
    assert not lacking & set(samples.time)
    assert len(samples) + samples.dropped == closes.height
    unlabelled = {naive(hole - 24 * HOUR), naive(hole - 23 * HOUR)}
    assert unlabelled <= set(samples.time[np.isnan(samples.y)])


def test_nothing_in_gives_nothing_out():
    samples = make_samples(
        make_frame(make_closes(24)).clear(), features=DEFAULT_FEATURES, interval="1h", start=START, end=START + DAY
    )
    assert (len(samples), samples.X.shape, samples.dropped) == (0, (0, 33), 0)


def test_the_stride_keeps_rows_known_at_its_multiples():
    frame = make_frame(make_closes(3 * 1440, interval="1m"), "1m")
    options = {"features": ("ma7_25h",), "interval": "1m", "start": START, "end": START + 3 * DAY}
    every, thinned = make_samples(frame, **options), make_samples(frame, **options, stride_minutes=30)
    minutes = {time.minute for time in thinned.time.tolist()}
    assert minutes == {29, 59}
    kept = every.take(np.isin(every.time, thinned.time))
    assert np.array_equal(kept.X, thinned.X)
    assert len(thinned) == len(every) // 30


@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_a_label_never_needs_a_close_that_the_frame_was_cut_before(interval):
    step = interval_delta(interval)
    closes = make_closes(int(5 * DAY / step), interval=interval)
    cutoff = START + 4 * DAY
    options = {"features": ("close_lag_1h",), "interval": interval, "start": START, "end": cutoff}
    cut = make_samples(make_frame(closes.filter(pl.col("time") < cutoff), interval), **options)
    ends = label_end(cut.time, interval)
    assert np.array_equal(np.isfinite(cut.y), ends <= naive(cutoff))
    assert ends[np.isfinite(cut.y)].max() == naive(cutoff)
    whole = make_samples(make_frame(closes, interval), **options)
    known = np.isfinite(cut.y)
    assert np.array_equal(cut.X, whole.X)
    assert np.array_equal(cut.y[known], whole.y[known])
    assert np.isfinite(whole.y).all()


@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_the_future_changes_no_feature(interval):
    step = interval_delta(interval)
    closes = make_closes(int(103 * DAY / step), interval=interval, seed=4)
    time = START + 101 * DAY + 7 * HOUR + (13 * MINUTE if interval == "1m" else timedelta(0))
    changed = closes.with_columns(pl.when(pl.col("time") > time).then(pl.col("close") * 3).otherwise("close"))
    cut = closes.filter(pl.col("time") <= time)
    options = {"features": ALL_FEATURES, "interval": interval, "start": time, "end": time + step}
    before, after, alone = (make_samples(_with_history(one, interval), **options) for one in (closes, changed, cut))
    assert before.X.shape == (1, 33 + 9)
    assert np.array_equal(before.X, after.X)
    assert np.array_equal(before.X, alone.X)
    assert np.isfinite(before.y.item())
    assert after.y.item() == pytest.approx(3 * (before.y.item() + 1) - 1)
    assert np.isnan(alone.y.item())


def _with_history(closes: pl.DataFrame, interval: str) -> pl.DataFrame:
    """The indicators of the last month below bare closes of the time before it, which the lags read."""
    border = 70
    blank = [pl.lit(None, pl.Float64).alias(name) for name in INDICATOR_NAMES if name != "close"]
    earlier = closes.filter(pl.col("time") < START + border * DAY).with_columns(blank)
    return pl.concat(
        [earlier.select("currency", "time", *INDICATOR_NAMES), make_frame(closes, interval, first_day=border)]
    )


@pytest.mark.parametrize("stride", [None, 120])
def test_rows_are_by_time_and_then_currency_in_whatever_order_they_come(stride: int | None):
    closes = pl.concat([make_closes(48, currency=name, seed=n) for n, name in enumerate(("BUSDT", "AUSDT"))])
    lacking = pl.col("time") != START + 30 * HOUR
    frame = make_frame(closes).filter(lacking | (pl.col("currency") == "BUSDT"))
    asked = {"features": ("close", "close_lag_1h"), "interval": "1h", "stride_minutes": stride}
    made = make_samples(frame, start=START, end=START + 2 * DAY, **asked)
    keys = list(zip(made.time.tolist(), made.currency.tolist(), strict=True))
    assert keys == sorted(keys) and set(made.currency) == {"AUSDT", "BUSDT"}
    assert made.X.flags.c_contiguous and made.dropped == (3 if stride is None else 1)
    shuffled = make_samples(frame.sample(fraction=1, shuffle=True, seed=3), start=START, end=START + 2 * DAY, **asked)
    assert all(
        np.array_equal(one, other, equal_nan=one.dtype == float)
        for one, other in ((made.X, shuffled.X), (made.y, shuffled.y), (made.time, shuffled.time))
    )
    assert (made.currency == shuffled.currency).all()


def test_no_row_leaves_none():
    made = make_samples(
        make_frame(make_closes(24)).head(0), features=("close",), interval="1h", start=START, end=START + DAY
    )
    assert (len(made), made.X.shape, made.dropped, made.time.dtype) == (0, (0, 1), 0, np.dtype("datetime64[us]"))


def test_threads_give_the_same_bits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cryptobot_assets.domain.samples.ROWS_WORTH_THREADS", 1)
    frame = make_frame(pl.concat([make_closes(24 * 40, currency=name, seed=n) for n, name in enumerate("ABCDE")]))
    asked = {"features": ("close_lag_1h", "close_lag_25h"), "interval": "1h", "start": START, "end": START + 40 * DAY}
    alone, shared = make_samples(frame, **asked), make_samples(frame, **asked, threads=3)
    assert len(alone) and (alone.currency == shared.currency).all()
    for name in ("time", "X", "y"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(shared, name))

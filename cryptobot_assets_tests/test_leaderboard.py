"""The leaderboard, read from a real store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.assets.evaluation import universe_then
from cryptobot_assets.contracts.factories import hours_after, make_predictions
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.domain.universe import Listing
from cryptobot_assets.leaderboard import (
    Tapes,
    costs_of,
    evaluate_market,
    evaluate_rules,
    read_closes,
    read_predictions,
    read_tape,
)
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.listings import write_listings
from cryptobot_assets.storage.store import INDICATORS, KLINES, PREDICTIONS

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


def test_intervals_are_drawn_as_often_as_the_settings_say(store: Lake, settings: Settings):
    fewer = settings.model_copy(update={"draws": 20})
    drawn = [evaluate_market(store, fewer, "ALL", draws=draws)[0].pool.net_ci for draws in (None, 20, 40)]
    assert drawn[0] == drawn[1] != drawn[2]


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


def test_the_tape_is_what_was_known_at_each_decision(store: Lake, settings: Settings):
    klines = pl.concat([make_rows(KLINES, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    klines = klines.with_columns(quote_volume=pl.when(pl.col("currency") == "BTCUSDT").then("quote_volume"))
    store.replace(KLINES, klines, start=None, end=None)
    start, end = hours_after(200), hours_after(240)
    hours = evaluate_market(store, settings, "ALL", start=start, end=end, draws=0)[0].hours
    tape = read_tape(store, "1h", hours)
    own = klines.filter(pl.col("currency") == "ADAUSDT")
    assert np.array_equal(tape.before[-200:, 0], own["close"].to_numpy()[:200])
    assert np.isnan(tape.before[:-200]).all(), "nothing is stored of then"
    value = (own["close"] * own["volume"]).to_numpy()
    assert tape.traded.shape == (40, 3)
    assert tape.traded[0, 0] == pytest.approx(value[177:201].sum())
    assert tape.traded[-1, 0] == pytest.approx(value[216:240].sum())
    quoted = klines.filter(pl.col("currency") == "BTCUSDT")["quote_volume"].to_numpy()
    assert tape.traded[0, 1] == pytest.approx(quoted[177:201].sum())


def test_every_algorithm_is_put_under_every_rule(store: Lake, settings: Settings):
    klines = pl.concat([make_rows(KLINES, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    store.replace(KLINES, klines.with_columns(volume=1e12, quote_volume=pl.lit(1e12)), start=None, end=None)
    found = evaluate_market(store, settings, "ALL", draws=0)
    made = evaluate_rules(Tapes(store, settings.interval), settings, found, draws=0)
    assert list(made) == ["oracle", "coin"]
    assert len({one.rule for one in made["coin"]}) == len(made["coin"]) == 6
    best = next(one for one in made["oracle"] if one.rule == "best one")
    assert best.net == pytest.approx(found[0].pool.net, rel=1e-3)
    assert best.over_control == pytest.approx(best.net / found[0].control.net, rel=0.1)


def test_a_market_that_trades_little_leaves_capital_in_cash(store: Lake, settings: Settings):
    klines = pl.concat([make_rows(KLINES, HOURS, currency=name, seed=n) for n, name in enumerate(NAMES)])
    store.replace(KLINES, klines.with_columns(volume=0.0, quote_volume=pl.lit(0.0)), start=None, end=None)
    made = evaluate_rules(
        Tapes(store, settings.interval), settings, evaluate_market(store, settings, "ALL", draws=0), draws=0
    )
    assert all(one.invested == 0 and one.net == 1 for results in made.values() for one in results)


def make_lives(name: str, *spans: tuple[float, float | None]) -> list[Listing]:
    return [
        Listing(
            currency=name, time=hours_after(first), end=None if end is None else hours_after(end),
            base=name.removesuffix("USDT"), quote="USDT", kind="coin", position=0,
        )
        for first, end in spans
    ]  # fmt: skip


def test_who_is_delisted_later_is_held_by_the_control_and_who_was_before_is_not(store: Lake, settings: Settings):
    predictions = store.read(PREDICTIONS)
    gone, not_yet = "ADAUSDT", "ETHUSDT"
    kept = ~((pl.col("currency") == gone) & (pl.col("time") >= hours_after(100)))
    kept &= ~((pl.col("currency") == not_yet) & (pl.col("time") < hours_after(50)))
    store.replace(PREDICTIONS, predictions.filter(kept), start=None, end=None)
    closes = store.read(INDICATORS).filter(kept)
    store.replace(INDICATORS, closes, start=None, end=None)
    whole = evaluate_market(store, settings, "ALL", draws=0)[0]
    last = (
        closes.filter(pl.col("currency") == gone)["close"][-1] / closes.filter(pl.col("currency") == gone)["close"][0]
    )
    held = closes.filter(pl.col("currency") == "BTCUSDT")["close"]
    assert whole.control.gross == pytest.approx((last + held[-1] / held[0]) / 2), "the delisted one at its last close"
    after = evaluate_market(store, settings, "ALL", start=hours_after(150), draws=0)[0]
    assert after.hours.currencies == ("BTCUSDT", "ETHUSDT"), "nobody can hold what is gone"
    listings = [*make_lives(gone, (0, 100)), *make_lives("BTCUSDT", (0, None)), *make_lives(not_yet, (50, None))]
    listings += make_lives("LTCUSDT", (0, 10))
    assert universe_then(listings, ("coin",), whole) == {
        "tradable_at_the_start": 3, "evaluated_of_them": 2, "delisted_of_those_evaluated": 1,
    }  # fmt: skip
    assert universe_then([], ("coin",), whole) == {}


def test_another_coin_under_the_same_symbol_does_not_raise_the_first_from_the_dead(store: Lake, settings: Settings):
    name, end, back = "ADAUSDT", 60, 240
    hole = (pl.col("currency") == name) & pl.col("time").is_between(hours_after(end), hours_after(back), closed="left")
    reborn = (pl.col("currency") == name) & (pl.col("time") >= hours_after(back))
    closes = (
        store.read(INDICATORS).filter(~hole).with_columns(pl.when(reborn).then(1e6).otherwise("close").alias("close"))
    )
    store.replace(INDICATORS, closes, start=None, end=None)
    store.replace(PREDICTIONS, store.read(PREDICTIONS).filter(~hole), start=None, end=None)
    known = make_lives(name, (0, end), (back, None))
    assert evaluate_market(store, settings, "ALL", draws=0)[0].control.gross > 100
    write_listings(store, known)
    (one, *_) = evaluate_market(store, settings, "ALL", draws=0)
    assert one.hours.currencies == (name, f"{name}@{hours_after(back):%Y-%m-%d}", "BTCUSDT", "ETHUSDT")
    first = closes.filter(pl.col("currency") == name)["close"]
    growth = [first[end - 1] / first[0]]
    growth += [
        part["close"][-1] / part["close"][0]
        for part in closes.filter(pl.col("currency") != name).partition_by("currency")
    ]
    assert one.control.gross == pytest.approx(np.mean(growth))
    assert evaluate_rules(Tapes(store, settings.interval), settings, [one], draws=0).keys() == {one.algorithm}

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import rankdata

from cryptobot_assets.errors import UsageError
from cryptobot_assets.exchange.market import Market
from cryptobot_assets.exchange.regime import Regime
from cryptobot_assets.exchange.simulation import LAG_HOURS, REVERSION, START, simulate
from cryptobot_assets_tests.exchange.markets import HOUR_MS, MINUTE_MS, START_MS

LABEL_HOURS = 24


@pytest.fixture(scope="module")
def minutes() -> Market:
    return simulate(7, 8, days=20)


def identical(first: Market, second: Market) -> bool:
    return first.currencies == second.currencies and all(
        np.array_equal(column, second.series(name).columns[field])
        for name in first.currencies
        for field, column in first.series(name).columns.items()
    )


def test_a_seed_is_a_market_bit_for_bit() -> None:
    assert identical(simulate(3, 7, days=3), simulate(3, 7, days=3))
    assert not identical(simulate(3, 7, days=3), simulate(4, 7, days=3))


def test_more_currencies_leave_the_first_ones_alone() -> None:
    few, more = simulate(3, 2, days=3), simulate(3, ["BTC", "eth", "ABC"], days=3)
    assert more.currencies == ("BTCUSDT", "ETHUSDT", "ABCUSDT")
    assert np.array_equal(few.series("ETHUSDT").close, more.series("ETHUSDT").close)


def test_it_says_that_it_is_simulated(minutes: Market) -> None:
    assert (minutes.label, minutes.title) == ("simulated", "simulated seed=7")


def test_every_kline_keeps_the_contract(minutes: Market) -> None:
    for name in minutes.currencies:
        klines = minutes.series(name)
        assert (klines.high >= np.maximum(klines.open, klines.close)).all()
        assert (klines.low <= np.minimum(klines.open, klines.close)).all()
        assert (klines.low > 0).all()
        assert (klines.time_ms % MINUTE_MS == 0).all()
        assert (np.diff(klines.time_ms) > 0).all()
        assert ((klines.volume == 0) == (klines.trades == 0)).all()
        assert (klines.taker_volume <= klines.volume).all()
        assert np.array_equal(np.round(klines.close, 8), klines.close)
        follows = np.diff(klines.time_ms) == MINUTE_MS
        assert np.array_equal(klines.open[1:][follows], klines.close[:-1][follows])


def test_a_kline_without_trades_carries_the_price(minutes: Market) -> None:
    klines = minutes.series("LTCUSDT")
    still = klines.volume == 0
    assert 0 < still.mean() < 0.1
    assert (klines.high[still] == klines.low[still]).all()


@pytest.mark.parametrize("days", [1, 2, 20])
def test_one_early_outage_hits_everyone(days: int) -> None:
    market = simulate(11, 3, days=days)
    holes = []
    for name in market.currencies:
        times = market.series(name).time_ms
        (place,) = np.flatnonzero(np.diff(times) > MINUTE_MS)
        holes.append((int(times[place]), int(times[place + 1])))
    begin, end = holes[0]
    assert set(holes) == {(begin, end)}
    assert 60 <= (end - begin) / MINUTE_MS - 1 <= (60 if days <= 3 else 180)
    assert 6 * HOUR_MS <= begin + MINUTE_MS - START_MS <= 36 * HOUR_MS


def test_the_last_currencies_list_late(minutes: Market) -> None:
    firsts = [int(minutes.series(name).time_ms[0]) for name in minutes.currencies]
    assert firsts[:-1] == [START_MS] * 7
    assert 0.02 <= (firsts[-1] - START_MS) / (20 * 24 * HOUR_MS) <= 0.05
    assert {int(simulate(1, 5, days=2).series(name).time_ms[0]) for name in simulate(1, 5, days=2).currencies} == {
        START_MS
    }


def hourly_closes(market: Market) -> np.ndarray:
    """Closes (hours, currencies), NaN where there is no row."""
    hours = (market.end_ms - market.first_ms) // HOUR_MS
    closes = np.full((hours, len(market.currencies)), np.nan)
    for place, name in enumerate(market.currencies):
        klines = market.series(name, "1h")
        closes[(klines.time_ms - market.first_ms) // HOUR_MS, place] = klines.close
    return closes


def truth_and_label(market: Market) -> tuple[np.ndarray, np.ndarray]:
    """`close_lag_25h` and the next 24 h return, (hours, currencies), whole rows only."""
    closes = hourly_closes(market)
    now = closes[LAG_HOURS:-LABEL_HOURS]
    truth = closes[: len(now)] / now - 1
    label = closes[LAG_HOURS + LABEL_HOURS :] / now - 1
    whole = np.isfinite(truth).all(axis=1) & np.isfinite(label).all(axis=1)
    return truth[whole], label[whole]


def mean_ic(truth: np.ndarray, label: np.ndarray) -> float:
    ranks = [rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (truth, label)]
    lengths = [np.sqrt((rank**2).sum(axis=1)) for rank in ranks]
    return float(((ranks[0] * ranks[1]).sum(axis=1) / (lengths[0] * lengths[1])).mean())


@pytest.mark.parametrize(("predictability", "ic", "slope"), [(0.0, 0.0, 0.0), (1.0, 0.12, 0.13), (2.0, 0.20, 0.22)])
def test_the_truth_is_as_strong_as_documented(predictability: float, ic: float, slope: float) -> None:
    market = simulate(5, 24, days=1000, interval="1h", predictability=predictability)
    truth, label = truth_and_label(market)
    assert mean_ic(truth, label) == pytest.approx(ic, abs=0.03)
    assert np.polyfit(truth.ravel(), label.ravel(), 1)[0] == pytest.approx(slope, abs=0.04)


def test_the_drift_alone_is_the_documented_formula() -> None:
    """With the noise of one draw in common, the difference of two markets is drift and nothing else."""
    quiet, drifting = (simulate(2, ["BTC"], days=30, interval="1h", predictability=p) for p in (0.0, 1.0))
    noise = np.diff(np.log(hourly_closes(quiet)[:, 0]))
    closes = np.log(hourly_closes(drifting)[:, 0])
    drift = np.diff(closes)[LAG_HOURS:] - noise[LAG_HOURS:]
    expected = REVERSION * (closes[:-1][: len(drift)] - closes[LAG_HOURS:-1])
    known = np.isfinite(drift) & np.isfinite(expected)
    assert known.sum() > 600
    assert np.abs(drift - expected)[known].max() < 2e-6


def test_a_regime_turns_the_truth_round_and_leaves_what_was_before() -> None:
    regime = Regime(START.date() + timedelta(days=500), -1.0)
    plain, turned = (simulate(5, 8, days=1000, interval="1h", regime=one) for one in (None, regime))
    assert turned.title == f"simulated seed=5 regime={regime.day}:-1"
    for name in plain.currencies:
        before, after = (market.series(name) for market in (plain, turned))
        then = before.time_ms < START_MS + 500 * 24 * HOUR_MS
        assert np.array_equal(before.close[then], after.close[then])
        assert not np.array_equal(before.close[~then][:48], after.close[~then][:48])
    truth, label = (values[-490 * 24 :] for values in truth_and_label(turned))
    assert mean_ic(truth, label) < -0.08


def test_a_regime_makes_moves_larger_and_leaves_the_truth() -> None:
    regime = Regime(START.date() + timedelta(days=200), 2.0, 3.0)
    market = simulate(5, 24, days=500, interval="1h", predictability=2.0, regime=regime)
    moves = np.abs(np.diff(np.log(hourly_closes(market)), axis=0))
    assert np.nanmean(moves[200 * 24 :]) / np.nanmean(moves[: 200 * 24]) == pytest.approx(3, rel=0.15)
    truth, label = (values[-290 * 24 :] for values in truth_and_label(market))
    assert mean_ic(truth, label) == pytest.approx(0.20, abs=0.05)


def test_currencies_move_together_but_not_as_one() -> None:
    returns = np.diff(np.log(hourly_closes(simulate(5, 6, days=200, interval="1h"))), axis=0)
    returns = returns[np.isfinite(returns).all(axis=1)]
    correlations = np.corrcoef(returns.T)[np.triu_indices(6, 1)]
    assert correlations.min() > 0.3 and correlations.max() < 0.95


def test_volatility_comes_in_spells_and_has_a_time_of_day() -> None:
    market = simulate(5, ["BTC"], days=400, interval="1h")
    size = np.abs(np.diff(np.log(hourly_closes(market)[:, 0])))
    known = np.isfinite(size[1:]) & np.isfinite(size[:-1])
    assert np.corrcoef(size[1:][known], size[:-1][known])[0, 1] > 0.08
    hour = (np.arange(len(size)) + 1) % 24
    assert np.nanmean(size[hour == 15]) > 1.3 * np.nanmean(size[hour == 3])


@pytest.mark.parametrize(
    "wrong",
    [
        {"currencies": 0}, {"currencies": 1000}, {"currencies": []}, {"currencies": ["a b"]}, {"days": 0},
        {"days": 4000}, {"predictability": -3.0}, {"predictability": float("nan")}, {"seed": -1},
        {"start": datetime(2025, 1, 1, tzinfo=UTC).replace(tzinfo=None)},
        {"start": datetime(2025, 1, 1, 0, 30, tzinfo=UTC)}, {"interval": "5m"},
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(wrong: dict) -> None:
    arguments = {"seed": 1, "currencies": 2, "days": 1, **wrong}
    with pytest.raises(UsageError):
        simulate(arguments.pop("seed"), arguments.pop("currencies"), **arguments)


def test_names_beyond_the_known_are_numbered() -> None:
    names = simulate(1, 32, days=2, interval="1h").currencies
    assert (names[0], names[29], names[30], names[31]) == ("BTCUSDT", "SHIBUSDT", "SIM031USDT", "SIM032USDT")

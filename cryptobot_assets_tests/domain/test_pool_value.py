"""Pool value: small cases worked out by hand, and that no decision knows the future."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from cryptobot_assets.contracts.factories import (
    START,
    hours_after,
    make_closes,
    make_predictions,
    make_scored,
    make_times,
)
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.domain.pool_value import (
    Costs,
    Hours,
    align_hours,
    best_one,
    control,
    equity,
    holding_curve,
    pool_value,
    replaced_formula,
)

COSTS = Costs(fee_bps=80, slippage_bps=20)
FREE = Costs(fee_bps=0, slippage_bps=0)
KEPT = 0.99
"""What one side of a trade leaves at 1 %."""

FIRST = np.datetime64("2024-01-01T00", "us")


def make_hours(predicted: list[list[float]], closes: list[list[float]]) -> Hours:
    names = tuple(f"C{n}" for n in range(len(predicted[0])))
    return Hours(names, FIRST, np.array(predicted, float), np.array(closes, float))


def one_sleeve(picks: list[int], closes: list[list[float]]) -> Hours:
    """Sleeve 0 picks these currencies day by day, the other sleeves never act; closes are daily."""
    currencies, hours = len(closes[0]), 24 * (len(picks) - 1) + 1
    predicted = np.full((hours, currencies), np.nan)
    for day, pick in enumerate(picks):
        predicted[24 * day] = [0.1 if n == pick else -0.1 for n in range(currencies)]
    prices = np.repeat(np.array(closes, float), 24, axis=0)[: hours + 24]
    return Hours(tuple(f"C{n}" for n in range(currencies)), FIRST, predicted, prices)


def value(hours: Hours, costs: Costs = COSTS):
    return pool_value(hours, costs, seed_value=1.0, seed=0, draws=0)


def sleeve_of(hours: Hours, costs: Costs = COSTS, sleeve: int = 0) -> float:
    return float(value(hours, costs).daily_net[:, sleeve].prod())


def test_costs_are_a_share_of_each_side():
    assert Costs(fee_bps=10, slippage_bps=2).share == pytest.approx(0.0012)


def test_one_day_in_one_currency_pays_to_enter_and_to_leave():
    hours = one_sleeve([0], [[100, 50], [110, 10]])
    made = value(hours)
    assert made.trades == 2
    assert sleeve_of(hours) == pytest.approx(1.1 * KEPT**2)
    assert made.gross == pytest.approx((1.1 + 23) / 24)
    assert made.net == pytest.approx((1.1 * KEPT**2 + 23) / 24)


def test_a_kept_position_is_not_traded():
    hours = one_sleeve([0, 0, 0], [[100, 50], [110, 50], [121, 50], [133.1, 50]])
    assert value(hours).trades == 2
    assert sleeve_of(hours) == pytest.approx(1.1**3 * KEPT**2)


def test_a_change_sells_and_buys():
    hours = one_sleeve([0, 1, 0], [[100, 50], [110, 50], [110, 60], [99, 60]])
    assert value(hours).trades == 6
    assert sleeve_of(hours) == pytest.approx(1.1 * 1.2 * 0.9 * KEPT**6)


def test_costs_fall_on_the_day_of_the_trade():
    daily = value(one_sleeve([0, 0, 1], [[1, 1], [1, 1], [1, 1], [1, 1]])).daily_net[:, 0]
    assert daily == pytest.approx([KEPT, 1.0, KEPT**3])


def test_the_sleeves_act_one_after_the_other_and_count_alike():
    random = np.random.default_rng(0)
    prices = np.exp(np.cumsum(random.normal(0, 0.01, (24 * 5, 3)), axis=0))
    predicted = random.normal(size=(24 * 4, 3))
    expected = []
    for sleeve in range(24):
        worth, held = 1.0, None
        for hour in range(sleeve, 24 * 4, 24):
            pick = int(np.argmax(predicted[hour]))
            worth *= 1.0 if pick == held else KEPT if held is None else KEPT**2
            worth *= prices[hour + 24, pick] / prices[hour, pick]
            held = pick
        expected.append(worth * KEPT)
    made = value(make_hours(predicted.tolist(), prices.tolist()))
    assert made.net == pytest.approx(np.mean(expected))
    assert made.daily_net.prod(axis=0) == pytest.approx(expected)


def test_an_outage_hour_keeps_the_holding_and_its_growth():
    hours = one_sleeve([0, 0, 1], [[100, 50], [110, 50], [132, 50], [132, 55]])
    hours.predicted[24] = np.nan
    assert sleeve_of(hours) == pytest.approx(1.1 * 1.2 * 1.1 * KEPT**4)
    assert value(hours).trades == 4


def test_a_sleeve_that_never_saw_a_row_stays_in_cash():
    hours = one_sleeve([0, 1], [[100, 50], [110, 50], [110, 55]])
    made = value(hours)
    assert made.daily_net[:, 1:] == pytest.approx(np.ones((2, 23)))
    late = one_sleeve([0, 1], [[100, 50], [110, 50], [110, 55]])
    late.predicted[0] = np.nan
    assert sleeve_of(late) == pytest.approx(1.1 * KEPT**2)


def test_best_one_takes_the_highest_that_can_be_traded():
    nan = math.nan
    picks = best_one(np.array([[0.1, 0.3, 0.2], [nan, -0.5, -0.1], [nan, nan, nan], [0.2, 0.2, 0.1]]))
    assert picks.tolist() == [1, 2, -1, 0]


def test_a_delisted_currency_falls_to_its_last_known_close():
    """B trades until hour 30 at 40, bought at 100: the loss counts, and it is left at 40."""
    times = make_times(73)
    a = pl.DataFrame({"currency": ["A"] * 73, "time": times, "close": [10.0] * 73})
    b = pl.DataFrame({"currency": ["B"] * 31, "time": times[:31], "close": [100.0] * 30 + [40.0]})
    predicted = make_scored({"A": [0.0] * 49, "B": [0.5] * 31 + [None] * 18}, {"A": [0.0] * 49, "B": [0.0] * 49})
    hours = align_hours(predicted, pl.concat([a, b]))
    gross = value(hours, FREE).daily_net
    assert gross[0, 5] == pytest.approx(1.0)
    assert gross[0, 6] == gross[0, 23] == gross[1, 6 - 1] == pytest.approx(0.4)
    assert gross[1, 6] == pytest.approx(1.0)
    assert gross[1, 7] == pytest.approx(1.0)


def test_hours_are_aligned_and_end_with_the_last_decision_whose_day_has_passed():
    closes = make_closes(60)
    hours = align_hours(make_predictions(closes), closes)
    assert hours.currencies == ("BTCUSDT",)
    assert hours.first == FIRST
    assert hours.predicted.shape == (36, 1)
    assert hours.closes[:, 0].tolist() == closes["close"].to_list()
    fewer = align_hours(make_predictions(closes).head(10), closes)
    assert (len(fewer.predicted), len(fewer.closes)) == (10, 34)


def test_nothing_to_align_is_none():
    closes = make_closes(24)
    predictions = make_predictions(closes)
    assert align_hours(predictions, closes) is None
    assert align_hours(predictions.clear(), closes) is None
    assert align_hours(predictions, closes.clear()) is None
    late = make_predictions(make_closes(40)).tail(3)
    assert align_hours(late, make_closes(40)) is None


@pytest.mark.parametrize("hour", [30, 47, 71])
def test_what_comes_after_a_hold_does_not_alter_it(hour):
    frames = [make_closes(24 * 6, currency=name, seed=n) for n, name in enumerate(["A", "B", "C"])]
    closes = pl.concat(frames)
    predictions = make_predictions(closes)
    end = hours_after(hour + 24)
    changed_closes = closes.with_columns(pl.when(pl.col("time") > end).then(pl.col("close") * 5).otherwise("close"))
    later = pl.col("time") > hours_after(hour)
    changed = predictions.with_columns(
        pl.when(later).then(-pl.col("predicted_return")).otherwise("predicted_return").alias("predicted_return")
    )
    before = value(align_hours(predictions, closes), FREE).daily_net.ravel()
    after = value(align_hours(changed, changed_closes), FREE).daily_net.ravel()
    assert np.array_equal(before[: hour + 1], after[: hour + 1])
    assert not np.array_equal(before[hour + 1 :], after[hour + 1 :])


def test_the_control_buys_what_is_tradable_in_equal_parts_and_holds():
    hours = one_sleeve([0, 0], [[100, 50, 1], [200, 50, 1], [300, 25, 9]])
    hours.predicted[0, 2] = np.nan
    made = control(hours, COSTS)
    assert made.gross == pytest.approx((3 + 0.5) / 2)
    assert made.net == pytest.approx(made.gross * KEPT**2)


def test_curves_begin_at_one_and_end_at_the_values():
    closes = pl.concat([make_closes(24 * 6, currency=name, seed=n) for n, name in enumerate(["A", "B"])])
    hours = align_hours(make_predictions(closes).filter(pl.col("time") < hours_after(96)), closes)
    made = value(hours)
    assert len(equity(made)) == len(holding_curve(hours)) == 5
    assert (equity(made)[0], holding_curve(hours)[0]) == (1.0, 1.0)
    assert equity(made)[-1] == pytest.approx(made.net)
    prices = hours.closes
    assert holding_curve(hours)[2] == pytest.approx(np.mean(prices[48] / prices[0]))


def test_holding_is_worth_the_same_to_the_pool_and_the_control():
    closes = make_closes(24 * 8)
    hours = align_hours(make_predictions(closes), closes)
    first_sleeve = float(value(hours, FREE).daily_net[:, 0].prod())
    assert first_sleeve == pytest.approx(hours.closes[24 * 7, 0] / hours.closes[0, 0])
    assert value(hours).trades == 48


# The replaced formula


def test_the_replaced_formula_is_the_gross_value_of_whole_hours():
    closes = pl.concat([make_closes(24 * 9, currency=name, seed=n) for n, name in enumerate(["A", "B", "C"])])
    predictions = make_predictions(closes)
    gross = value(align_hours(predictions, closes), FREE).gross
    assert replaced_formula(predictions) == pytest.approx(gross, rel=1e-12)


def test_the_replaced_formula_counts_a_day_sixty_times_at_1m():
    closes = make_closes(1440 * 8, interval="1m").with_columns(
        close=100 * pl.lit(1.01).pow((pl.col("time") - START).dt.total_minutes() / 1440)
    )
    rows = make_predictions(closes)
    assert rows["realised_return"].drop_nulls().min() == pytest.approx(0.01)
    assert replaced_formula(rows) == pytest.approx(1.01 ** (1440 * 7 / 24))
    assert replaced_formula(rows) > 60


def test_the_replaced_formula_stays_a_number():
    rows = make_scored({"A": [0.1] * 2400}, {"A": [9.0] * 2400})
    assert replaced_formula(rows) == pytest.approx(10.0**100)
    endless = make_scored({"A": [0.1] * 24000}, {"A": [9.0] * 24000})
    assert replaced_formula(endless) == pytest.approx(math.exp(709))
    lost = make_scored({"A": [0.1] * 24}, {"A": [-1.0] * 24})
    assert 0 < replaced_formula(lost) < 1e-5
    assert replaced_formula(rows.clear()) == 1.0


def test_the_interval_of_the_net_value_holds_it_and_follows_its_seed():
    closes = pl.concat([make_closes(24 * 40, currency=name, seed=n) for n, name in enumerate(["A", "B", "C"])])
    hours = align_hours(make_predictions(closes), closes)
    made = [pool_value(hours, COSTS, seed_value=1.0, seed=seed, draws=200) for seed in (1, 1, 2)]
    assert made[0].net_ci == made[1].net_ci != made[2].net_ci
    low, high = made[0].net_ci
    assert low < made[0].net < high
    assert value(hours).net_ci is None


def test_a_decision_reads_the_close_of_its_own_hour():
    """An hour's pick is bought at the close known then and left at the close 24 hours later."""
    closes = make_closes(72)
    hours = align_hours(make_predictions(closes).filter(pl.col("time") == START + 7 * HOUR), closes)
    assert hours.first == np.datetime64("2024-01-01T07", "us")
    price = closes["close"]
    assert value(hours, FREE).gross == pytest.approx((price[31] / price[7] + 23) / 24)

"""Sleeves under a rule: cases by hand, the pool value again, and that no decision knows the future."""

from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.domain.allocation import keep_while_wanted, top
from cryptobot_assets.domain.pool_value import Costs, Hours, control, holding_curve, pool_value
from cryptobot_assets.domain.portfolio import break_even, judge_run, simulate, trailing_volatility

COSTS = Costs(fee_bps=10, slippage_bps=2)
FIRST = np.datetime64("2024-01-01T00", "us")


def random_hours(days: int = 30, currencies: int = 6, seed: int = 0) -> Hours:
    draw = np.random.default_rng(seed)
    closes = np.exp(np.cumsum(draw.normal(0, 0.01, (24 * days + 24, currencies)), axis=0))
    predicted = draw.normal(0, 0.02, (24 * days - 5, currencies))
    predicted[draw.random(predicted.shape) < 0.05] = np.nan
    names = tuple(f"C{n}" for n in range(currencies))
    return Hours(names, FIRST, predicted, closes[: len(predicted) + 24])


def test_one_day_in_one_currency():
    hours = Hours(("A", "B"), FIRST, np.array([[0.1, 0.0]]), np.vstack([np.ones((24, 2)), [[1.2, 0.5]]]))
    run = simulate(top(1), hours)
    assert run.growth[0, 0] == pytest.approx(1.2)
    assert run.traded[0, 0] == pytest.approx(2.0)
    assert (run.growth[0, 1:] == 1).all()
    assert not run.traded[0, 1:].any()
    assert run.value(0.01) == pytest.approx((1.2 * 0.98 + 23) / 24)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_one_is_the_pool_value(seed: int):
    hours = random_hours(seed=seed)
    held = pool_value(hours, COSTS, seed_value=1.0, seed=0, draws=0)
    run = simulate(top(1), hours)
    assert run.value(0.0) == pytest.approx(held.gross, rel=1e-12)
    assert run.value(COSTS.share) == pytest.approx(held.net, rel=2e-4)
    assert run.traded.sum() == pytest.approx(held.trades)


def test_keeping_costs_less_than_trading_anew():
    hours = random_hours()
    assert simulate(keep_while_wanted(2, 0.6), hours).traded.mean() < 0.7 * simulate(top(2), hours).traded.mean()


def test_an_hour_without_rows_keeps_what_is_held():
    hours = random_hours()
    hours.predicted[48:72] = np.nan
    run = simulate(top(2), hours)
    assert not run.traded[2].any()
    assert (run.growth[2] != 1).all()


def test_a_currency_that_stops_trading_is_left_at_its_last_close():
    closes = np.ones((24 * 3, 2))
    closes[24:, 0] = 0.5
    run = simulate(top(1), Hours(("A", "B"), FIRST, np.array([[0.2, 0.1]] * 48), closes))
    assert run.growth[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("rule", [top(2), keep_while_wanted(2, 0.5)])
def test_no_decision_knows_the_future(rule):
    hours = random_hours()
    cut = 10
    changed = Hours(hours.currencies, hours.first, hours.predicted.copy(), hours.closes.copy())
    changed.predicted[cut * 24 :] *= -3
    changed.closes[(cut + 1) * 24 :] *= np.linspace(1, 5, len(changed.closes) - (cut + 1) * 24)[:, None]
    before, after = simulate(rule, hours), simulate(rule, changed)
    assert np.array_equal(before.growth[:cut], after.growth[:cut])
    assert np.array_equal(before.traded[:cut], after.traded[:cut])
    assert not np.array_equal(before.growth, after.growth)


def test_cash_neither_grows_nor_costs():
    hours = random_hours()
    run = simulate(top(1), hours, most=None)
    idle = simulate(lambda decision: np.zeros_like(decision.score), hours)
    assert idle.value(0.01) == 1.0
    assert idle.invested == 0.0
    assert run.invested == pytest.approx(1.0)


def test_break_even_is_where_net_equals_the_control():
    run = simulate(top(2), random_hours())
    target = run.value(0.0) * 0.9
    bps = break_even(run, target)
    assert run.value(bps / 10_000) == pytest.approx(target, rel=1e-6)
    assert break_even(run, run.value(0.0) * 1.01) is None
    assert break_even(run, 0.0) == 1_000.0


def test_figures_stand_beside_the_control():
    hours = random_hours(days=40)
    run = simulate(keep_while_wanted(3, 0.5), hours)
    made = judge_run("keep", run, holding_curve(hours), COSTS, seed=1, draws=200)
    held = control(hours, COSTS)
    assert made.net == pytest.approx(made.curve[-1])
    assert made.net_ci[0] < made.net < made.net_ci[1]
    assert made.over_control_ci[0] < made.over_control < made.over_control_ci[1]
    assert made.over_control == pytest.approx(made.net / held.net, rel=0.05)
    assert judge_run("keep", run, holding_curve(hours), COSTS, seed=1, draws=200).net_ci == made.net_ci


def test_volatility_is_known_at_the_decision():
    closes = random_hours(days=20).closes
    volatility = trailing_volatility(closes, 100, before=200)
    returns = np.diff(np.log(closes), axis=0)
    assert volatility[0] == pytest.approx(returns[200 - 168 : 200].std(axis=0))
    future = closes.copy()
    future[201:] = 7.0
    assert np.array_equal(trailing_volatility(future, 1, before=200)[0], volatility[0])
    assert np.isnan(trailing_volatility(closes, 10, before=20)).all()

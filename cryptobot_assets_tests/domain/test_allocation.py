"""Allocation rules: small cases worked out by hand, and rules that hold for every decision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptobot_assets.domain.allocation import (
    Decision,
    Rule,
    above,
    better_share,
    capped,
    inverse_volatility,
    keep_while_wanted,
    top,
    worth_its_cost,
)

NAN = float("nan")


def decide(rule: Rule, score: list[float], held: list[float] | None = None, **known: list[float]) -> list[float]:
    """One sleeve's wish."""
    size = len(score)
    decision = Decision(
        score=np.array([score], float),
        held=np.array([held or [0.0] * size], float),
        volatility=np.array([known.get("volatility") or [NAN] * size], float),
        most=np.array([known.get("most") or [1.0] * size], float),
    )
    return rule(decision)[0].tolist()


def test_the_share_that_scores_higher_counts_known_scores_only():
    assert better_share(np.array([[1.0, NAN, 3.0, 2.0]]))[0] == pytest.approx([2 / 3, NAN, 0, 1 / 3], nan_ok=True)


def test_top_takes_equal_parts_of_the_highest():
    assert decide(top(2), [0.1, 0.3, NAN, 0.2]) == [0, 0.5, 0, 0.5]


def test_top_takes_what_there_is():
    assert decide(top(3), [NAN, 0.3, NAN]) == [0, 1, 0]
    assert decide(top(3), [NAN, NAN, NAN]) == [0, 0, 0]


def test_above_stays_in_cash_where_nothing_is_promised():
    assert decide(above(4, 0.01), [0.005, 0.02, 0.03, -1.0]) == [0, 0.25, 0.25, 0]
    assert decide(above(4, 0.01), [0.005, 0.0, -0.1, 0.01]) == [0, 0, 0, 0]


def test_a_holding_stays_while_it_is_among_the_better_share():
    score = [0.4, 0.3, 0.2, 0.1]
    assert decide(keep_while_wanted(2, 0.5), score, [0, 0.7, 0.3, 0]) == pytest.approx([0.3, 0.7, 0, 0])
    assert decide(keep_while_wanted(2, 0.75), score, [0, 0.7, 0.3, 0]) == [0, 0.7, 0.3, 0]


def test_what_is_sold_is_spread_over_the_best_not_yet_held():
    score = [0.5, 0.4, 0.3, 0.2, 0.1]
    assert decide(keep_while_wanted(3, 0.5), score, [0.2, 0, 0, 0.5, 0.3]) == pytest.approx([0.2, 0.4, 0.4, 0, 0])


def test_a_holding_without_a_row_this_hour_is_not_sold_for_that():
    assert decide(keep_while_wanted(2, 0.5), [NAN, 0.4, 0.3], [0.6, 0, 0.4]) == pytest.approx([0.6, 0.4, 0])


def test_inverse_volatility_spreads_the_same_capital():
    rule = inverse_volatility(above(4, 0.0))
    wish = decide(rule, [0.1, 0.2, -0.1, -0.2], volatility=[0.01, 0.03, 0.01, 0.01])
    assert wish == pytest.approx([0.375, 0.125, 0, 0])
    assert decide(rule, [0.1, 0.2, -0.1, -0.2]) == [0.25, 0.25, 0, 0]


def test_inverse_volatility_leaves_what_is_kept():
    rule = inverse_volatility(keep_while_wanted(3, 0.75))
    wish = decide(rule, [0.3, 0.2, 0.1, 0.0], [0.4, 0, 0, 0.6], volatility=[0.9, 0.01, 0.02, 0.01])
    assert wish == pytest.approx([0.4, 0.4, 0.2, 0])


def test_a_trade_that_does_not_pay_is_not_made():
    rule = worth_its_cost(top(1), 0.001)
    assert decide(rule, [0.010, 0.013], [1.0, 0.0]) == [0, 1]
    assert decide(rule, [0.010, 0.0115], [1.0, 0.0]) == [1, 0]
    assert decide(rule, [0.0005, -0.1]) == [0, 0]


def test_no_weight_is_more_than_the_market_can_take():
    assert decide(capped(top(2)), [0.2, 0.1, 0.0], most=[0.1, 0.9, 1.0]) == [0.1, 0.5, 0]


RULES = (
    top(1),
    top(3),
    above(3, 0.01),
    keep_while_wanted(3, 0.5),
    inverse_volatility(keep_while_wanted(3, 0.5)),
    worth_its_cost(top(2), 0.0012),
    capped(keep_while_wanted(2, 0.4)),
)
SCORES = st.lists(st.one_of(st.floats(-0.5, 0.5), st.just(NAN)), min_size=5, max_size=5)
WEIGHTS = st.lists(st.floats(0, 1), min_size=5, max_size=5)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60, deadline=None)
@given(score=SCORES, held=WEIGHTS, most=WEIGHTS)
def test_weights_are_never_negative_and_never_more_than_the_capital(rule: Rule, score, held, most):
    total = sum(held) or 1.0
    held = [one / total for one in held] if total > 1 else held
    wish = decide(rule, score, held, most=most, volatility=[0.01, 0.02, NAN, 0.04, 0.0])
    assert min(wish) >= 0
    assert sum(wish) <= 1 + 1e-9
    bought = [after > before + 1e-12 for after, before in zip(wish, held, strict=True)]
    assert not any(more and np.isnan(value) for more, value in zip(bought, score, strict=True))

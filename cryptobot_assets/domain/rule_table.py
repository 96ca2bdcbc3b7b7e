"""The same predictions under several allocation rules, each beside the control.

The pool value proper puts a whole sleeve into one currency (`best one`). The other rules show what
spreading, staying in cash, trading less and calmer weights make of the same predictions: none is
chosen for its result, all are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptobot_assets.domain.allocation import AllocationRule, capped
from cryptobot_assets.domain.bootstrap import DRAWS
from cryptobot_assets.domain.pool_value import SLEEVES, Costs, Hours, holding_curve
from cryptobot_assets.domain.portfolio import Result, judge_run, simulate, trailing_volatility
from cryptobot_assets.domain.rules import OWN_RULES, places_for


@dataclass(frozen=True)
class Tape:
    """What the market did up to each decision of some `Hours`.

    Attributes:
        before: (b, n) closes of the hours just before the first decision, NaN where none is stored.
        traded: (d, n) value traded in the 24 h up to each decision, in the quote currency.
    """

    before: np.ndarray
    traded: np.ndarray


def judge_rules(
    hours: Hours,
    tape: Tape,
    costs: Costs,
    *,
    rules: Iterable[AllocationRule] = tuple(OWN_RULES.values()),
    capital: float,
    capacity: float,
    seed: int,
    draws: int = DRAWS,
) -> tuple[Result, ...]:
    """Every rule's figures over the same decisions.

    Args:
        capital: of the whole pool, in the quote currency; each sleeve has a 24th.
        capacity: largest share of the value traded in 24 h that a sleeve may hold of a currency; what a
            rule wants beyond it stays in cash.
    """
    decisions = len(hours.predicted)
    volatility = trailing_volatility(np.vstack([tape.before, hours.closes]), decisions, len(tape.before))
    most = np.nan_to_num(tape.traded) * capacity / (capital / SLEEVES)
    holding = holding_curve(hours)
    k = places_for(len(hours.currencies))
    return tuple(
        judge_run(
            rule.title.format(k=k),
            simulate(capped(rule.make(k, costs.share)), hours, volatility=volatility, most=most),
            holding,
            costs,
            seed=seed,
            draws=draws,
        )
        for rule in rules
    )


def result_row(result: Result) -> dict[str, Any]:
    """One entry of the report's `pool_value.rules`; a break-even of 0: not even free trading reaches the control."""
    return {
        "rule": result.rule,
        "gross": result.gross,
        "net": result.net,
        "net_ci": list(result.net_ci or (None, None)),
        "over_control": result.over_control,
        "over_control_ci": list(result.over_control_ci or (None, None)),
        "turnover_a_day": result.turnover,
        "break_even_bps": result.break_even_bps or 0.0,
        "positions": result.positions,
        "invested": result.invested,
    }

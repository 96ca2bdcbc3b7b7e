"""The allocation rules that come with the platform, as settings and reports name them."""

from __future__ import annotations

from cryptobot_assets.domain.allocation import (
    AllocationRule,
    Rule,
    above,
    inverse_volatility,
    keep_while_wanted,
    top,
    worth_its_cost,
)

TENTH = 10
BETTER_HALF = 0.5


def _keep(k: int, cost: float) -> Rule:
    return keep_while_wanted(k, BETTER_HALF)


OWN_RULES: dict[str, AllocationRule] = {
    rule.name: rule
    for rule in (
        AllocationRule("best", "best one", lambda k, cost: top(1)),
        AllocationRule("top", "top {k}", lambda k, cost: top(k)),
        AllocationRule("top_above_costs", "top {k} above costs, else cash", lambda k, cost: above(k, 2 * cost)),
        AllocationRule("keep", "keep {k} while in the better half", _keep),
        AllocationRule(
            "keep_calm", "keep {k}, bought by 1/volatility", lambda k, cost: inverse_volatility(_keep(k, cost))
        ),
        AllocationRule(
            "keep_that_pay", "keep {k}, trades that pay", lambda k, cost: worth_its_cost(_keep(k, cost), cost)
        ),
    )
}
"""The rules that come with the platform, by name."""


def places_for(currencies: int) -> int:
    """How many currencies of a universe a rule is to hold."""
    return max(round(currencies / TENTH), 1)

"""What every allocation rule must pass: whoever brings it, it cannot spend what is not there.

A test class inherits `RuleContract` and gives a fixture `rule`, an `AllocationRule`.
"""

from __future__ import annotations

import numpy as np
import pytest

from cryptobot_assets.domain.allocation import AllocationRule, Decision

SLEEVES, CURRENCIES = 40, 12
COST = 0.0012


def make_decision(seed: int, *, sleeves: int = SLEEVES, currencies: int = CURRENCIES) -> Decision:
    """What so many sleeves may read: some currencies have no score, some no volatility; each sleeve holds some."""
    draw = np.random.default_rng(seed)
    shape = (sleeves, currencies)
    held = draw.dirichlet(np.full(currencies + 1, 0.4), sleeves)[:, :-1] * (draw.random((sleeves, 1)) < 0.8)
    return Decision(
        score=np.where(draw.random(shape) < 0.15, np.nan, draw.normal(0, 0.03, shape)),
        held=held,
        volatility=np.where(draw.random(shape) < 0.1, np.nan, draw.uniform(0.001, 0.05, shape)),
        most=draw.random(shape),
    )


class RuleContract:
    """One test each; `rule` comes as a fixture from the suite that inherits."""

    @pytest.fixture(params=[1, 3])
    def places(self, request: pytest.FixtureRequest) -> int:
        """Currencies to hold."""
        return int(request.param)

    def test_weights_are_never_negative_and_never_more_than_the_capital(
        self, rule: AllocationRule, places: int
    ) -> None:
        for seed in range(5):
            wish = rule.make(places, COST)(make_decision(seed))
            assert wish.shape == (SLEEVES, CURRENCIES) and np.isfinite(wish).all()
            assert wish.min() >= 0 and wish.sum(axis=1).max() <= 1 + 1e-9

    def test_nothing_is_bought_that_has_no_score(self, rule: AllocationRule, places: int) -> None:
        decision = make_decision(7)
        wish = rule.make(places, COST)(decision)
        assert not (np.isnan(decision.score) & (wish > decision.held + 1e-12)).any()

    def test_a_sleeve_decides_by_itself(self, rule: AllocationRule, places: int) -> None:
        decision = make_decision(3)
        together = rule.make(places, COST)(decision)
        for one in range(0, SLEEVES, 7):
            part = slice(one, one + 1)
            alone = Decision(decision.score[part], decision.held[part], decision.volatility[part], decision.most[part])
            np.testing.assert_allclose(rule.make(places, COST)(alone)[0], together[one], atol=1e-12)

    def test_the_order_of_the_currencies_is_of_no_account(self, rule: AllocationRule, places: int) -> None:
        decision, order = make_decision(5), np.random.default_rng(0).permutation(CURRENCIES)
        moved = Decision(
            decision.score[:, order], decision.held[:, order], decision.volatility[:, order], decision.most[:, order]
        )
        wish = rule.make(places, COST)
        np.testing.assert_allclose(wish(moved), wish(decision)[:, order], atol=1e-12)

    def test_what_it_reads_stays_as_it_was(self, rule: AllocationRule, places: int) -> None:
        decision, again = make_decision(9), make_decision(9)
        rule.make(places, COST)(decision)
        for name in ("score", "held", "volatility", "most"):
            np.testing.assert_array_equal(getattr(decision, name), getattr(again, name))

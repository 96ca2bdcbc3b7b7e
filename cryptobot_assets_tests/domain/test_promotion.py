"""The promotion rule, branch by branch."""

from __future__ import annotations

import math

import pytest

from cryptobot_assets.domain.promotion import Candidate, best_candidate, judge
from cryptobot_assets.domain.significance import FEWEST_HOURS, Superiority

SKILLED = Superiority(1000, 0.001, ("ridge",))
LUCKY = Superiority(1000, 0.4, ())
LUCK_TOLD = (
    "the skill of ridge is more than luck at 2%, with every algorithm counted (best of all: p = 0.001 over 1,000 hours)"
)


def make_candidate(algorithm: str = "ridge", **changes: object) -> Candidate:
    facts = {"version": "3", "rows": 1200, "mse": 0.0009, "mse_zero": 0.001, "ic": 0.02, "net": 1.25}
    return Candidate(algorithm=algorithm, **{**facts, **changes})


def test_a_candidate_better_than_zero_passes_with_its_figures():
    verdict = judge(make_candidate(), None, skill=SKILLED, control_net=1.5)
    assert verdict.promote
    assert verdict.reasons == (
        "ridge version 3: mean squared error 0.0009 is below 0.001 of predicting zero (+10.00%) "
        "over 1,200 out-of-sample rows",
        LUCK_TOLD,
        "pool value 1.250 net of costs does not beat the control's 1.500 (not judged)",
    )


@pytest.mark.parametrize("mse", [0.001, 0.0011, math.nan, math.inf])
def test_a_candidate_no_better_than_zero_fails(mse):
    verdict = judge(make_candidate(mse=mse), None, skill=SKILLED, control_net=None)
    assert not verdict.promote
    assert "is not below 0.001 of predicting zero" in verdict.reasons[0]
    assert f"{mse:.6g}" in verdict.reasons[0]
    assert verdict.reasons[1:] == (LUCK_TOLD,)


def test_without_rows_there_is_nothing_to_pass_on():
    verdict = judge(make_candidate(rows=0, mse=0.0), None, skill=SKILLED, control_net=None)
    assert not verdict.promote
    assert verdict.reasons == ("ridge has no out-of-sample rows yet", LUCK_TOLD)


def test_a_constant_is_no_skill_however_small_its_error():
    verdict = judge(make_candidate(ic=None), None, skill=SKILLED, control_net=None)
    assert not verdict.promote
    assert verdict.reasons[0].endswith("a constant is no skill")
    informed = make_candidate("xgboost", mse=0.0011)
    assert best_candidate([make_candidate(ic=None), informed]) == informed


def test_a_lower_error_by_luck_fails():
    verdict = judge(make_candidate(), None, skill=LUCKY, control_net=None)
    assert not verdict.promote
    assert verdict.reasons[0] == (
        "the skill of ridge is no more than luck at 2%, with every algorithm counted "
        "(best of all: p = 0.400 over 1,000 hours)"
    )


def test_too_few_hours_to_tell_skill_from_luck_fail():
    verdict = judge(make_candidate(), None, skill=Superiority(100, None, ()), control_net=None)
    assert not verdict.promote
    assert verdict.reasons[0] == (
        f"100 out-of-sample hours are too few to tell skill from luck: at least {FEWEST_HOURS} are needed"
    )


def test_returns_that_never_moved_prove_nothing():
    assert not judge(make_candidate(mse=0.0, mse_zero=0.0), None, skill=SKILLED, control_net=None).promote


@pytest.mark.parametrize(("rival", "passes"), [(0.00095, True), (0.0009, False), (0.0008, False)])
def test_a_reigning_champion_must_be_beaten_on_the_same_rows(rival, passes):
    champion = make_candidate("xgboost", version="7", mse=rival)
    verdict = judge(make_candidate(), champion, skill=SKILLED, control_net=None)
    assert verdict.promote is passes
    told = next(reason for reason in verdict.reasons if "champion" in reason)
    word = "below" if passes else "not below"
    assert told == (
        f"mean squared error 0.0009 is {word} {rival:.6g} of the champion xgboost version 7 on the same rows"
    )


def test_failing_reasons_come_first():
    verdict = judge(make_candidate(), make_candidate("xgboost", mse=0.0005), skill=SKILLED, control_net=1.0)
    assert [("not below" in reason) for reason in verdict.reasons] == [True, False, False, False]
    assert "beats the control's 1.000" in verdict.reasons[-1]


def test_the_control_is_quoted_only_where_both_values_exist():
    assert len(judge(make_candidate(net=None), None, skill=SKILLED, control_net=1.0).reasons) == 2
    assert len(judge(make_candidate(), None, skill=SKILLED, control_net=None).reasons) == 2


def test_the_best_candidate_has_the_lowest_error_relative_to_zero():
    one = make_candidate("ridge", mse=0.9, mse_zero=1.0)
    other = make_candidate("lasso", mse=0.8, mse_zero=0.85)
    assert best_candidate([other, one]) is one


def test_ties_go_to_the_first_name():
    tied = [make_candidate("xgboost"), make_candidate("huber")]
    assert best_candidate(tied).algorithm == "huber"


def test_an_error_that_is_no_number_is_never_best():
    broken = make_candidate("catboost", mse=math.nan)
    assert best_candidate([broken, make_candidate(mse=5.0)]).algorithm == "ridge"
    assert best_candidate([make_candidate(mse=5.0), broken]).algorithm == "ridge"


def test_a_flat_market_counts_as_predicting_zero():
    flat = make_candidate("catboost", mse=0.1, mse_zero=0.0)
    assert best_candidate([flat, make_candidate()]).algorithm == "ridge"

"""The promotion rule: which candidate may be called champion, and why.

A candidate passes when its predictions differ from row to row, its out-of-sample mean squared error
is below that of predicting zero, its skill is more than the best of all algorithms of the market
would show by luck at 2 %, and, where a champion reigns, its error is below the champion's on the same
rows. The verdict always carries every reason, with the figures.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cryptobot_assets.domain.significance import FEWEST_HOURS, SIZE, Superiority

BASELINES = frozenset({"zero", "momentum", "ar"})
"""Algorithms that others are held against: they reign only when they pass."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What the rule reads of one algorithm's out-of-sample record."""

    algorithm: str
    version: str
    rows: int
    mse: float
    mse_zero: float
    ic: float | None
    net: float | None


@dataclass(frozen=True)
class Verdict:
    """The rule's answer; `reasons` are whole sentences, the failing ones first."""

    promote: bool
    reasons: tuple[str, ...]


def best_candidate(candidates: list[Candidate], superior: Collection[str] = ()) -> Candidate:
    """The candidate with the lowest error relative to predicting zero; ties go to the first name.

    Those of `superior` skill come before all others and baselines after those that are alike in that; then
    comes one that tells no currency from another, last one whose error is no number.
    """
    return min(
        candidates,
        key=lambda one: (
            one.algorithm not in superior,
            one.algorithm in BASELINES,
            one.ic is None,
            _relative_error(one),
            one.algorithm,
        ),
    )


def _relative_error(candidate: Candidate) -> float:
    if math.isnan(candidate.mse):
        return math.inf
    return candidate.mse / candidate.mse_zero if candidate.mse_zero > 0 else 1.0


def judge_best(
    candidates: list[Candidate],
    *,
    reigning: str | None,
    skill: Superiority,
    control_net: float | None,
    algorithm: str | None = None,
    context: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Candidate, Verdict]:
    """The best candidate of a market and the verdict on it; with `algorithm`, that one instead of the best.

    Args:
        reigning: algorithm of the champion that passed before, None where none did; it is no rival of its own
            newer version.
        context: by algorithm, sentences to quote of it that are not judged.
    """
    wanted = [one for one in candidates if algorithm in (None, one.algorithm)]
    best = best_candidate(wanted, skill.superior)
    rival = next((one for one in candidates if one.algorithm == reigning and one is not best), None)
    quoted = context.get(best.algorithm, ())
    return best, judge(best, rival, skill=skill, control_net=control_net, context=quoted)


def judge(
    candidate: Candidate,
    champion: Candidate | None,
    *,
    skill: Superiority,
    control_net: float | None,
    context: Sequence[str] = (),
) -> Verdict:
    """Judge one candidate against predicting zero, luck and the reigning champion.

    Args:
        skill: the test over every algorithm of the market.
        champion: the reigning one's record on the same rows, None when there is none or when
            the candidate is its newer version.
        control_net: net value of simply holding, quoted in the reasons, not judged.
        context: further sentences to quote, not judged either.
    """
    checks = [_against_zero(candidate), _against_luck(candidate, skill)]
    if candidate.rows and candidate.ic is None:
        told = f"{candidate.algorithm} predicts the same for every row, so it has no IC: a constant is no skill"
        checks.append((False, told))
    if champion is not None:
        checks.append(_against_champion(candidate, champion))
    failed = [reason for passed, reason in checks if not passed]
    passed = [reason for passed, reason in checks if passed]
    return Verdict(promote=not failed, reasons=(*failed, *passed, *_context(candidate, control_net), *context))


def _against_zero(candidate: Candidate) -> tuple[bool, str]:
    if not candidate.rows:
        return False, f"{candidate.algorithm} has no out-of-sample rows yet"
    gain = 1 - candidate.mse / candidate.mse_zero if candidate.mse_zero > 0 else 0.0
    better = gain > 0
    word = "below" if better else "not below"
    return better, (
        f"{candidate.algorithm} version {candidate.version}: mean squared error {candidate.mse:.6g} is {word} "
        f"{candidate.mse_zero:.6g} of predicting zero ({gain:+.2%}) over {candidate.rows:,} out-of-sample rows"
    )


def _against_luck(candidate: Candidate, skill: Superiority) -> tuple[bool, str]:
    if skill.p_value is None:
        return False, (
            f"{skill.hours} out-of-sample hours are too few to tell skill from luck: at least {FEWEST_HOURS} are needed"
        )
    passed = candidate.algorithm in skill.superior
    word = "more" if passed else "no more"
    return passed, (
        f"the skill of {candidate.algorithm} is {word} than luck at {SIZE:.0%}, with every algorithm counted "
        f"(best of all: p = {skill.p_value:.3f} over {skill.hours:,} hours)"
    )


def _against_champion(candidate: Candidate, champion: Candidate) -> tuple[bool, str]:
    better = candidate.mse < champion.mse
    word = "below" if better else "not below"
    return better, (
        f"mean squared error {candidate.mse:.6g} is {word} {champion.mse:.6g} of the champion "
        f"{champion.algorithm} version {champion.version} on the same rows"
    )


def _context(candidate: Candidate, control_net: float | None) -> tuple[str, ...]:
    if candidate.net is None or control_net is None:
        return ()
    word = "beats" if candidate.net > control_net else "does not beat"
    return (f"pool value {candidate.net:.3f} net of costs {word} the control's {control_net:.3f} (not judged)",)

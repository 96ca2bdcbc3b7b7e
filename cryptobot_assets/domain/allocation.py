"""Allocation rules: what a sleeve wants to hold, from what is known at its hour.

A rule reads one decision of several sleeves at once and answers with target weights: shares of each
sleeve's capital, none below zero, at most 1 together; the rest stays in cash. Rules are plain
functions of a `Decision`, made by the factories below, and can be put inside one another:
`capped(keep_while_wanted(9, 0.5))`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Decision:
    """What a rule may read; every array is (s, n): sleeves x currencies.

    Attributes:
        score: predicted return of the next 24 h, NaN where the currency cannot be bought.
        held: weights of the sleeve's capital held up to now, as prices have left them.
        volatility: standard deviation of hourly log returns over the past week, NaN where not known.
        most: the largest weight each currency can take (its share of traded volume), 1 without limit.
    """

    score: np.ndarray
    held: np.ndarray
    volatility: np.ndarray
    most: np.ndarray


Rule = Callable[[Decision], np.ndarray]


@dataclass(frozen=True)
class AllocationRule:
    """A rule as settings and reports name it, made for a universe and its costs.

    Attributes:
        name: in settings.
        title: in reports; `{k}` stands for the number of currencies to hold.
        make: the rule for `k` currencies (a tenth of the universe, at least one) and a cost a side (a share).
    """

    name: str
    title: str
    make: Callable[[int, float], Rule]


def better_share(score: np.ndarray) -> np.ndarray:
    """Share of the currencies known at an hour that score higher, (s, n); NaN where the score is.

    >>> better_share(np.array([[0.3, np.nan, 0.1, 0.2]])).tolist()
    [[0.0, nan, 0.6666666666666666, 0.3333333333333333]]
    """
    known = np.isfinite(score)
    order = np.argsort(np.where(known, -score, np.inf), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(score.shape[1])[None, :].repeat(len(score), 0), axis=1)
    return np.where(known, place / np.maximum(known.sum(axis=1, keepdims=True), 1), np.nan)


def equal(chosen: np.ndarray) -> np.ndarray:
    """Equal weights of the chosen, (s, n); nothing where none is."""
    weights: np.ndarray = chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    return weights


def top(k: int) -> Rule:
    """Equal parts of the `k` highest scores, anew each day."""

    def rule(decision: Decision) -> np.ndarray:
        return equal(_first(decision.score, k))

    return rule


def above(k: int, least: float) -> Rule:
    """A `k`-th part in each of at most `k` highest scores that predict more than `least`; the rest is cash."""

    def rule(decision: Decision) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return (_first(decision.score, k) & (decision.score > least)) / k

    return rule


def keep_while_wanted(k: int, share: float) -> Rule:
    """`k` currencies; a holding stays, untouched, while its score is among the best `share` of all.

    What is sold is spread over the best that are not held yet. Turnover is what eats a daily
    ranking's gain: a position is left only when it is no longer wanted, not when a better one appears.
    """

    def rule(decision: Decision) -> np.ndarray:
        rank = better_share(decision.score)
        with np.errstate(invalid="ignore"):
            kept = (decision.held > 0) & (rank < share)
        # A currency that gave no row this hour is not sold for that.
        kept |= (decision.held > 0) & ~np.isfinite(decision.score)
        free = np.maximum(k - kept.sum(axis=1, keepdims=True), 0)
        candidates = np.where(kept, np.nan, decision.score)
        order = better_share(candidates) * np.isfinite(candidates).sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            bought = np.isfinite(order) & (order + 0.5 < free)
        stays = np.where(kept, decision.held, 0.0)
        wish: np.ndarray = stays + equal(bought) * (1 - stays.sum(axis=1, keepdims=True))
        return wish

    return rule


def inverse_volatility(chosen: Rule) -> Rule:
    """Another rule's wish with what it newly buys spread by 1 / volatility; what is kept stays as it is."""

    def rule(decision: Decision) -> np.ndarray:
        wish = chosen(decision)
        bought = np.maximum(wish - decision.held, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            calm = np.where((bought > 0) & (decision.volatility > 0), 1 / decision.volatility, 0.0)
        total = calm.sum(axis=1, keepdims=True)
        spread = calm / np.where(total > 0, total, 1.0) * bought.sum(axis=1, keepdims=True)
        return np.where(total > 0, wish - bought + spread, wish)

    return rule


def worth_its_cost(chosen: Rule, cost: float) -> Rule:
    """Another rule's wish where the score gained pays for the trade; what is held stays otherwise.

    The gain is the predicted return of the wish over that of what is held, for the next 24 h; the
    cost of a trade is `cost` for each unit of capital bought or sold.
    """

    def rule(decision: Decision) -> np.ndarray:
        wish = chosen(decision)
        score = np.nan_to_num(decision.score)
        gain = ((wish - decision.held) * score).sum(axis=1)
        traded = np.abs(wish - decision.held).sum(axis=1)
        return np.where((gain > cost * traded)[:, None], wish, decision.held)

    return rule


def capped(chosen: Rule) -> Rule:
    """Another rule's wish, each weight cut to what the market can take; what is cut off stays in cash."""

    def rule(decision: Decision) -> np.ndarray:
        cut: np.ndarray = np.minimum(chosen(decision), np.maximum(decision.most, 0.0))
        return cut

    return rule


def _first(score: np.ndarray, k: int) -> np.ndarray:
    rank = better_share(score) * np.isfinite(score).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        first: np.ndarray = np.isfinite(rank) & (rank + 0.5 < k)
        return first

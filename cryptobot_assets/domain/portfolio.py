"""What an allocation rule would have made of the same capital, in the same 24 sleeves as the pool value.

Sleeve h decides at hour h of each day what share of its capital each currency gets, and trades the
difference at that hour's close. Weights do not depend on costs, so one run gives the value at any
cost: on each day a sleeve's capital grows by `growth * (1 - cost * traded)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryptobot_assets.domain.allocation import Decision, Rule
from cryptobot_assets.domain.bootstrap import DRAWS, Interval, bootstrap_bands
from cryptobot_assets.domain.pool_value import BLOCK_DAYS, OVERLAP_DAYS, SLEEVES, Costs, Hours

VOLATILITY_HOURS = 168
HIGHEST_BREAK_EVEN = 1_000.0
"""Basis points a side; a rule that would bear more is said to bear this much."""


@dataclass(frozen=True)
class Run:
    """A rule's days.

    Attributes:
        growth: (days, 24) factor of each sleeve's each day before costs.
        traded: (days, 24) bought and sold, as a multiple of the sleeve's capital at that instant.
        positions: mean number of currencies held by a sleeve that holds any.
        invested: mean share of capital not in cash.
    """

    growth: np.ndarray
    traded: np.ndarray
    positions: float
    invested: float

    def daily(self, share: float) -> np.ndarray:
        """(days, 24) growth at a cost of `share` of what is traded."""
        return self.growth * np.maximum(1 - share * self.traded, 1e-9)

    def value(self, share: float) -> float:
        """Multiple of the starting capital at a cost of `share` of what is traded."""
        return float(self.daily(share).prod(axis=0).mean())


@dataclass(frozen=True)
class Result:
    """A rule's figures beside the control's.

    Attributes:
        gross, net: multiples of the starting capital.
        net_ci: 90 % interval of net.
        over_control: net divided by the control's net.
        over_control_ci: its 90 % interval, both resampled by the same days.
        turnover: bought and sold a day, as a share of capital (2 replaces everything).
        break_even_bps: cost a side at which net would only equal the control's; None where even
            free trading would not reach it.
        curve: (days + 1,) net value, starting from 1.
        run: the days it is of, whose value can be had at any cost.
    """

    rule: str
    gross: float
    net: float
    net_ci: Interval
    over_control: float
    over_control_ci: Interval
    turnover: float
    break_even_bps: float | None
    positions: float
    invested: float
    curve: np.ndarray
    run: Run


def simulate(rule: Rule, hours: Hours, *, volatility: np.ndarray | None = None, most: np.ndarray | None = None) -> Run:
    """Run a rule over the decisions of `hours`.

    Args:
        volatility: (d, n) as known at each decision, see `Decision`; none where not given.
        most: (d, n) largest weight of each currency at each decision; 1 where not given.

    A sleeve whose hour has no row at all (an outage) keeps what it holds. What is held is left at
    the close 24 h later, or, where that kline is missing, at the last close known by then. The last
    day sells everything.
    """
    decisions, currencies = hours.predicted.shape
    days = -(-decisions // SLEEVES)
    growth, traded = np.ones((days, SLEEVES)), np.zeros((days, SLEEVES))
    held = np.zeros((SLEEVES, currencies))
    counts, invested = [], []
    for day in range(days):
        first = day * SLEEVES
        rows = np.arange(first, min(first + SLEEVES, decisions))
        now = slice(0, len(rows))
        score = hours.predicted[rows]
        decision = Decision(
            score=np.where(np.isfinite(hours.closes[rows]), score, np.nan),
            held=held[now],
            volatility=np.full(score.shape, np.nan) if volatility is None else volatility[rows],
            most=np.ones(score.shape) if most is None else most[rows],
        )
        blind = ~np.isfinite(decision.score).any(axis=1, keepdims=True)
        wish = np.where(blind, held[now], rule(decision))
        traded[day, now] = np.abs(wish - held[now]).sum(axis=1)
        with np.errstate(invalid="ignore"):
            change = hours.closes[rows + SLEEVES] / hours.closes[rows]
        factor = np.where((wish > 0) & np.isfinite(change), change, 1.0)
        cash = 1 - wish.sum(axis=1)
        growth[day, now] = (wish * factor).sum(axis=1) + cash
        held[now] = wish * factor / growth[day, now][:, None]
        last = rows + SLEEVES >= decisions
        traded[day, now] += np.where(last, held[now].sum(axis=1), 0.0)
        counts += (wish > 0).sum(axis=1).tolist()
        invested.append(float(wish.sum(axis=1).mean()))
    busy = [count for count in counts if count]
    return Run(growth, traded, float(np.mean(busy)) if busy else 0.0, float(np.mean(invested)) if invested else 0.0)


def judge_run(name: str, run: Run, holding: np.ndarray, costs: Costs, *, seed: int, draws: int = DRAWS) -> Result:
    """A run's figures beside holding.

    Args:
        holding: (days + 1,) value of the control after each day, from 1, before its costs (bought
            once, sold once).
    """
    daily = run.daily(costs.share)
    days = min(len(daily), len(holding) - 1)
    control = np.diff(np.log(holding))[:days]
    paid = 2 * np.log1p(-costs.share)
    logs = np.column_stack([np.log(daily[:days]), control])

    def values(sample: np.ndarray) -> np.ndarray:
        grown = _log_mean(sample[:, :-1].sum(axis=0))
        return np.exp([grown, grown - sample[:, -1].sum() - paid])

    bands = bootstrap_bands(logs, values, block=BLOCK_DAYS, overlap=OVERLAP_DAYS, positive=True, seed=seed, draws=draws)
    net_ci, over_ci = (None, None) if bands is None else ((float(low), float(high)) for low, high in bands.T)
    return Result(
        rule=name,
        gross=run.value(0.0),
        net=run.value(costs.share),
        net_ci=net_ci,
        over_control=float(values(logs)[1]),
        over_control_ci=over_ci,
        turnover=float(run.traded.mean()),
        break_even_bps=break_even(run, float(np.exp(control.sum() + paid))),
        positions=run.positions,
        invested=run.invested,
        curve=np.concatenate([[1.0], daily.cumprod(axis=0).mean(axis=1)]),
        run=run,
    )


def break_even(run: Run, control_net: float) -> float | None:
    """Basis points a side at which the run's value equals the control's; None where none does.

    Found by halving: value only falls as costs rise.
    """
    if run.value(0.0) <= control_net:
        return None
    low, high = 0.0, HIGHEST_BREAK_EVEN
    if run.value(high / 10_000) > control_net:
        return high
    for _ in range(40):
        middle = (low + high) / 2
        if run.value(middle / 10_000) > control_net:
            low = middle
        else:
            high = middle
    return low


def trailing_volatility(
    closes: np.ndarray, decisions: int, before: int, *, window: int = VOLATILITY_HOURS
) -> np.ndarray:
    """Deviation of hourly log returns over the past `window` hours, known at each decision.

    Args:
        closes: (before + decisions + ..., n) hourly closes, the first `before` of them earlier than
            the first decision.

    Returns:
        (decisions, n), NaN where fewer than half of the returns are known.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.diff(np.log(closes), axis=0, prepend=np.nan)
    known = np.isfinite(returns)
    filled = np.where(known, returns, 0.0)
    sums = [np.cumsum(np.pad(part, ((1, 0), (0, 0))), axis=0) for part in (known.astype(float), filled, filled**2)]
    ends = np.arange(before, before + decisions) + 1
    starts = np.maximum(ends - window, 0)
    count, total, squares = (part[ends] - part[starts] for part in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / count - (total / count) ** 2
    return np.where(count >= window / 2, np.sqrt(np.maximum(variance, 0.0)), np.nan)


def _log_mean(logs: np.ndarray) -> float:
    """log of the mean of exp(logs), without overflow."""
    top = float(logs.max())
    return top + float(np.log(np.exp(logs - top).mean()))

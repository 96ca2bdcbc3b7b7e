"""Whether the best of many tries is more than luck.

Three questions, each answered by a well-kept library (arch, purgedcv):

- Does any algorithm have skill, all of them together considered? Hansen, A Test for Superior
  Predictive Ability (2005), over hourly skill against none, and Romano and Wolf, Stepwise Multiple
  Testing (2005), for which of them.
- Is the best tuning trial's gain more than the best of that many tries shows by luck? Bailey and
  Lopez de Prado, The Deflated Sharpe Ratio (2014).
- Does choosing by past performance choose what is good later? Bailey, Borwein, Lopez de Prado and
  Zhu, The Probability of Backtest Overfitting (2017).

Samples are dependent (labels of 24 h overlap): bootstraps draw blocks, and Sharpe ratios are of
whole days.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS, understatement
from cryptobot_assets.domain.labels import HORIZON_HOURS

BLOCK_HOURS = 48
FEWEST_HOURS = 8 * BLOCK_HOURS
"""Fewer hours than eight blocks tell nothing that a bootstrap could find."""

SIZE = 0.02
"""Of this many markets without truth an algorithm is called superior: the gate may pass 5 of 100, chance included."""
CSCV_BLOCKS = 10
FEWEST_DAYS = 2 * CSCV_BLOCKS


@dataclass(frozen=True)
class Superiority:
    """The tests over all algorithms of a market.

    Attributes:
        hours: common hours that were compared.
        p_value: chance of so good a best algorithm where none has skill (SPA, consistent); None
            with fewer than `FEWEST_HOURS` hours.
        superior: algorithms with skill at 2 %, all comparisons together.
    """

    hours: int
    p_value: float | None
    superior: tuple[str, ...]


def superiority(skills: Mapping[str, pl.DataFrame], *, seed: int, draws: int = DRAWS) -> Superiority:
    """Test the skill of several algorithms over their common hours.

    Args:
        skills: time and skill by algorithm; skill is zero in the mean for an algorithm without any.
        seed: of the bootstrap.
    """
    names = [name for name, rows in skills.items() if rows.height]
    if not names:
        return Superiority(0, None, ())
    table = skills[names[0]].select("time", pl.col("skill").alias(names[0]))
    for name in names[1:]:
        table = table.join(skills[name].select("time", pl.col("skill").alias(name)), on="time")
    values = table.sort("time").select(names).to_numpy()
    spread = values.std(axis=0) if len(values) else np.zeros(len(names))
    varied = spread > 0
    if len(values) < FEWEST_HOURS or not varied.any():
        return Superiority(len(values), None, ())
    losses = -(values[:, varied] / spread[varied])
    losses -= losses.mean(axis=0) * (1 - 1 / _understatement(len(values)))
    p_value, superior = _tests(losses.shape, losses.tobytes(), seed, draws)
    tested = [name for name, one in zip(names, varied, strict=True) if one]
    return Superiority(len(values), p_value, tuple(tested[index] for index in superior))


@lru_cache(maxsize=4)
def _tests(shape: tuple[int, int], losses_bytes: bytes, seed: int, draws: int) -> tuple[float, tuple[int, ...]]:
    """The p-value and which columns of (hours, algorithms) losses are superior.

    Kept, for the page of a market and the gate ask for the same.
    """
    from arch.bootstrap import SPA, StepM  # a second of imports that only judging needs

    losses = np.frombuffer(losses_bytes).reshape(shape)
    none = np.zeros(len(losses))
    options: dict[str, Any] = {"block_size": BLOCK_HOURS, "reps": draws, "bootstrap": "stationary", "seed": seed}
    overall = SPA(none, losses, **options)
    overall.compute()
    # The procedure fails where it has found every algorithm superior: one that is hopeless is always left.
    hopeless = 10.0 + 0.001 * np.resize([1.0, -1.0], len(losses))
    stepwise = StepM(none, np.column_stack([losses, hopeless]), size=SIZE, **options)
    stepwise.compute()
    superior: Sequence[Any] = stepwise.superior_models
    return float(overall.pvalues["consistent"]), tuple(int(index) for index in superior)


def _understatement(hours: int) -> float:
    """How many times too often, in deviations, the bootstrap would call a mean large: means are divided by it."""
    return understatement(hours, block=BLOCK_HOURS, overlap=HORIZON_HOURS, level=1 - 2 * SIZE)


@dataclass(frozen=True)
class Deflated:
    """A Sharpe ratio beside the best that luck alone would show.

    Attributes:
        sharpe: mean over deviation of daily returns, a day, not annualised.
        lucky: expected best of so many trials without skill, in the same unit.
        probability: that the true ratio is above `lucky`.
        trials: how many were tried.
    """

    sharpe: float
    lucky: float
    probability: float
    trials: int


def deflated_sharpe(daily: np.ndarray, trial_sharpes: np.ndarray) -> Deflated | None:
    """The deflated Sharpe ratio of daily returns, after trials with these daily Sharpe ratios.

    Labels of 24 h reach into the next day, so that neighbouring days share much; they count as
    n / (1 + 2 r) days, with r the correlation of neighbours where it is positive.

    None with fewer than `FEWEST_DAYS` days, fewer than two trials, or returns that never vary.
    """
    trial_sharpes = trial_sharpes[np.isfinite(trial_sharpes)]
    if len(daily) < FEWEST_DAYS or len(trial_sharpes) < 2 or not daily.std():
        return None
    from purgedcv import deflated_sharpe_ratio_full  # its import costs seconds, and few need it

    made = deflated_sharpe_ratio_full(daily, len(trial_sharpes), float(trial_sharpes.var(ddof=1)))
    ratio = made.observed_sr
    width = math.sqrt(1 - made.skew * ratio + (made.kurt - 1) / 4 * ratio**2)
    days = (len(daily) - 1) / (1 + 2 * max(_neighbours(daily), 0.0))
    probability = NormalDist().cdf((ratio - made.sr_star) * math.sqrt(days) / width)
    return Deflated(ratio, made.sr_star, probability, len(trial_sharpes))


def _neighbours(daily: np.ndarray) -> float:
    """Correlation of each day's value with the next day's."""
    apart = daily - daily.mean()
    return float((apart[1:] * apart[:-1]).sum() / (apart**2).sum())


def sharpes(daily: np.ndarray) -> np.ndarray:
    """Daily Sharpe ratio of each column of (days, k) returns, NaN where they never vary."""
    spread = daily.std(axis=0)
    return np.where(spread > 0, daily.mean(axis=0) / np.where(spread > 0, spread, 1.0), np.nan)


def overfitting_probability(daily: np.ndarray) -> float | None:
    """Chance that the trial that was best in one half of the days is below the median in the other.

    Args:
        daily: (days, trials) daily returns; 0.5 is what choosing among noise gives.

    None with fewer than `FEWEST_DAYS` days or two trials that vary.
    """
    daily = daily[:, daily.std(axis=0) > 0]
    if len(daily) < FEWEST_DAYS or daily.shape[1] < 2:
        return None
    return _chosen_by_luck(daily.shape, daily.tobytes())


@lru_cache(maxsize=4)
def _chosen_by_luck(shape: tuple[int, int], daily_bytes: bytes) -> float:
    """Kept, for every algorithm of a market is told of the same trials, on its page and at the gate."""
    from purgedcv import probability_of_backtest_overfitting  # as above

    daily = np.frombuffer(daily_bytes).reshape(shape)
    return float(probability_of_backtest_overfitting(daily.T, n_splits=CSCV_BLOCKS).pbo)


def no_skill_precision(base_rate: float, said: float) -> tuple[float, float]:
    """Where 90 % of precisions lie that say up at random, `said` independent times.

    Normal approximation of the binomial; the whole range where nothing was said.
    """
    if said <= 0:
        return 0.0, 1.0
    reach = 1.6449 * float(np.sqrt(base_rate * (1 - base_rate) / said))
    return max(base_rate - reach, 0.0), min(base_rate + reach, 1.0)

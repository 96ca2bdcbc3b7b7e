"""What groups of features add out of sample: how far the error rises when a group says nothing.

Breiman, Random Forests (2001): a group's columns are shuffled together over the rows, which leaves
their own distribution and takes away what they say of the row; the model is not fitted again. Rows
are those after the model's cutoff. Groups that say the same thing cover for each other, so that two
worthless-looking ones may be worth something together: read it as what would be missed, the others kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptobot_assets.domain.bootstrap import DRAWS, Interval, bootstrap_interval
from cryptobot_assets.domain.features import lag_hours
from cryptobot_assets.domain.pool_value import BLOCK_DAYS, OVERLAP_DAYS

SHUFFLES = 5
WEEK_HOURS = 7 * 24


@dataclass(frozen=True)
class GroupWorth:
    """One group of features.

    Attributes:
        gain: rise of the squared error without it, as a share of the error of predicting zero; above
            zero where the group helps.
        ci: its 90 % interval, days resampled; None with too few days.
    """

    group: str
    features: int
    gain: float
    ci: Interval


def feature_groups(features: Sequence[str]) -> dict[str, list[int]]:
    """Columns by group: lags, moving averages, the scaled close, ranks among currencies, others.

    >>> feature_groups(["close_lag_1h", "ma7_25h_scale", "close_lag_672h"])
    {'lags up to a week': [0], 'moving averages': [1], 'longer lags': [2]}
    """
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(features):
        groups.setdefault(_group_of(name), []).append(column)
    return groups


def _group_of(name: str) -> str:
    hours = lag_hours(name)
    if hours is not None:
        return "lags up to a week" if hours <= WEEK_HOURS else "longer lags"
    if name.startswith("ma"):
        return "oscillators" if name.startswith("macd") else "moving averages"
    if name.startswith(("rsi", "bollinger")):
        return "oscillators"
    if name == "close_minmax_scale":
        return "scaled close"
    figure = name.rpartition("_")[0].removeprefix("rank_") or name
    return f"ranks: {figure.replace('_', ' ')}"


def group_worths(
    predict: Callable[[np.ndarray], np.ndarray],
    X: np.ndarray,
    target: np.ndarray,
    time: np.ndarray,
    groups: Mapping[str, Sequence[int]],
    *,
    seed: int,
    draws: int = DRAWS,
) -> list[GroupWorth]:
    """The worth of each group, most first.

    Args:
        X, target: (n, features) rows after the model's cutoff and (n,) what it predicts of them.
        time: (n,) datetime64, for the days that are resampled together.
    """
    truth = (predict(X) - target) ** 2
    zero = float(np.mean(target**2))
    days, day = np.unique(time.astype("datetime64[D]"), return_inverse=True)
    counts = np.bincount(day, minlength=len(days)).astype(float)
    random = np.random.default_rng(seed)
    found = []
    for name, columns in groups.items():
        rise = np.zeros(len(target))
        for _ in range(SHUFFLES):
            shuffled = X.copy()
            shuffled[:, columns] = X[random.permutation(len(X))][:, columns]
            rise += ((predict(shuffled) - target) ** 2 - truth) / SHUFFLES
        sums = np.column_stack([np.bincount(day, weights=rise, minlength=len(days)), counts])
        found.append(
            GroupWorth(
                group=name,
                features=len(columns),
                gain=float(rise.mean() / zero) if zero else 0.0,
                ci=bootstrap_interval(
                    sums,
                    lambda drawn: float(drawn[:, 0].sum() / drawn[:, 1].sum() / zero) if zero else 0.0,
                    block=BLOCK_DAYS,
                    overlap=OVERLAP_DAYS,
                    seed=seed,
                    draws=draws,
                ),
            )
        )
    return sorted(found, key=lambda one: -one.gain)


def worth_row(worth: GroupWorth) -> dict[str, Any]:
    """As JSON."""
    return {"group": worth.group, "features": worth.features, "gain": worth.gain, "ci": list(worth.ci or (None, None))}


def told_worth(worth: GroupWorth) -> str:
    """The gain in percent with its interval."""
    inside = f" ({worth.ci[0]:+.2%} to {worth.ci[1]:+.2%})" if worth.ci else ""
    return f"{worth.gain:+.2%}{inside}"

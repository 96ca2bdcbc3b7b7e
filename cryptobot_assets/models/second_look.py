"""The chosen parameters estimated twice more, where tuning has not looked.

Walk-forward error chose the parameters, so the chosen ones look better there than they are.
Combinatorial folds give the error on several paths through the whole time, folds with currencies
held out the error on currencies that the model has never seen. Both are of rows thinned by whole
instants: overlapping labels lose little by it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from cryptobot_assets.domain.cpcv import combinatorial_folds, currencies_apart
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.metrics import hourly_skill
from cryptobot_assets.domain.splits import Fold, walk_forward
from cryptobot_assets.models.base import FittedModel
from cryptobot_assets.models.preparation import TrainingRows

GROUPS, TEST_GROUPS = 5, 2
PARTS = 2
FEWEST_ROWS = 2_000
SHARE = 1 / 4

Fit = Callable[[TrainingRows], FittedModel]


@dataclass(frozen=True)
class Figures:
    """Predictions of a target beside predicting zero.

    Attributes:
        gain: 1 - squared error / that of predicting zero.
        ic: mean IC as `hourly_skill` counts it, None where predictions or targets do not vary.
    """

    gain: float
    ic: float | None


def chosen_instants(times: np.ndarray, *, rows: int, tuned: int) -> np.ndarray:
    """Positions of all rows at some instants, at most about `rows` and a quarter of `tuned`, sorted.

    Args:
        times: (n,) datetime64. rows: the most that is asked for. tuned: how many rows were tuned on.
    """
    unique = np.unique(times)
    most = min(rows, max(FEWEST_ROWS, int(tuned * SHARE)))
    keep = min(len(unique), max(1, round(len(unique) * most / len(times))))
    chosen = np.sort(np.random.default_rng(0).choice(len(unique), keep, replace=False))
    return np.flatnonzero(np.isin(times, unique[chosen]))


def look_at_paths(fit: Fit, rows: TrainingRows, *, embargo: timedelta) -> list[Figures]:
    """Figures of each path of combinatorial purged folds.

    Raises:
        NotEnoughHistory: the rows do not fill the groups.
    """
    made = combinatorial_folds(rows.time, groups=GROUPS, test_groups=TEST_GROUPS, horizon=HORIZON, embargo=embargo)
    return [_figures(path, rows) for path in made.paths(_predicted(fit, rows, made.folds))]


def look_at_strangers(fit: Fit, rows: TrainingRows, *, folds: int) -> Figures | None:
    """Figures on currencies that the models did not see; None with a single currency.

    Raises:
        NotEnoughHistory: the rows do not fill the folds.
    """
    made = currencies_apart(walk_forward(rows.time, folds=folds, horizon=HORIZON), rows.currency, parts=PARTS)
    if not made:
        return None
    tested = np.concatenate([fold.test for fold in made])
    return _figures(np.concatenate(_predicted(fit, rows, made)), rows.take(tested))


def as_metrics(paths: Sequence[Figures], strangers: Figures | None) -> Mapping[str, float | None]:
    """Both looks by flat name; what there is not is None."""
    gains = [one.gain for one in paths]
    ics = [one.ic for one in paths if one.ic is not None]
    return {
        "cpcv_paths": float(len(paths)) if paths else None,
        "cpcv_gain": float(np.mean(gains)) if gains else None,
        "cpcv_gain_lowest": min(gains, default=None),
        "cpcv_ic": float(np.mean(ics)) if ics else None,
        "cpcv_ic_lowest": min(ics, default=None),
        "strangers_gain": strangers.gain if strangers else None,
        "strangers_ic": strangers.ic if strangers else None,
    }


def _predicted(fit: Fit, rows: TrainingRows, folds: Sequence[Fold]) -> list[np.ndarray]:
    def of_fold(fold: Fold) -> np.ndarray:
        return fit(rows.take(fold.train)).predict(rows.X[fold.test])

    with ThreadPoolExecutor(min(len(folds), os.cpu_count() or 1)) as pool, threadpool_limits(1, user_api="blas"):
        return list(pool.map(of_fold, folds))


def _figures(predicted: np.ndarray, rows: TrainingRows) -> Figures:
    zero = float(np.mean(rows.target**2))
    skill = hourly_skill(
        pl.DataFrame(
            {
                "currency": rows.currency.astype(str),
                "time": rows.time,
                "predicted_return": predicted,
                "realised_return": rows.target,
            }
        )
    )
    return Figures(
        gain=1 - float(np.mean((predicted - rows.target) ** 2)) / zero if zero else 0.0,
        ic=float(skill.select(pl.mean("skill")).item()) if skill.height else None,
    )

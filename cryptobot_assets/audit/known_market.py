"""The platform's verdict on a market whose truth is known: does the gate err, do the intervals cover?

The way is that of the assets: indicators, samples known at the cutoff, tuning on purged folds, the final
fit, out-of-sample predictions, the evaluation, the test of all algorithms together, the verdict. Only the
store and the registry are left out.

    klines   |----- training -----|-- out of sample --|--------- truth ---------|
                                cutoff               end

What a fitted model is truly worth is read from a long span after the evaluated one, which the evaluation
never sees: its mean IC and its mean daily growth there, under the same law of the market.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cryptobot_assets.audit.pipeline import INTERVAL, hourly_market, known_by, naive
from cryptobot_assets.domain.bootstrap import DRAWS, Interval
from cryptobot_assets.domain.evaluation import Evaluation, evaluate, skill_of
from cryptobot_assets.domain.features import Samples, make_samples
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.pool_value import Costs
from cryptobot_assets.domain.promotion import Verdict, best_candidate, judge
from cryptobot_assets.domain.relative import HourlyMarket, is_relative, less_the_market, relative_samples
from cryptobot_assets.domain.splits import walk_forward
from cryptobot_assets.models.algorithms import ALGORITHMS, features_of
from cryptobot_assets.models.base import FittedModel
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared
from cryptobot_assets.models.tuning import tune
from cryptobot_assets.plugged import FEATURES

COSTS = Costs(fee_bps=10.0, slippage_bps=2.0)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a market is split and what is trained on it."""

    algorithms: tuple[str, ...]
    training_days: int = 120
    evaluated_days: int = 90
    truth_days: int = 0
    trials: int = 2
    folds: int = 2
    draws: int = DRAWS
    costs: Costs = COSTS

    @property
    def days(self) -> int:
        """Days of klines that are needed."""
        return self.training_days + self.evaluated_days + self.truth_days + 2


@dataclass(frozen=True)
class Covered:
    """One figure, its interval and the truth."""

    value: float
    interval: Interval
    truth: float

    @property
    def holds(self) -> bool:
        """Whether the interval has the truth in it."""
        return self.interval is not None and self.interval[0] <= self.truth <= self.interval[1]


@dataclass(frozen=True)
class Judged:
    """What was said of one market.

    Attributes:
        verdict: on the best candidate, no champion reigning.
        ic, net: by algorithm; empty without a truth span. A constant model has no IC.
    """

    candidate: str
    verdict: Verdict
    ic: Mapping[str, Covered]
    net: Mapping[str, Covered]


def judge_market(klines: pl.DataFrame, plan: Plan, *, seed: int) -> Judged:
    """Train, predict, evaluate and judge, as the platform does.

    Args:
        klines: currency, time, close, volume; hourly, of at least `plan.days` days.
        seed: of tuning, fits and bootstraps.
    """
    spans = Spans.of(klines["time"].min(), plan)
    rows = _rows_by_features(klines, plan, spans)
    closes = klines.select("currency", "time", "close")
    evaluations: list[Evaluation] = []
    truths: dict[str, Evaluation | None] = {}
    for name in plan.algorithms:
        samples = rows[features_of(name)]
        model = _fit(name, samples, plan, spans.cutoff, seed)
        made = _evaluated(name, model, samples, closes, spans.cutoff, spans.end, plan, seed, plan.draws)
        if made:
            evaluations.append(made)
        if plan.truth_days:
            later = spans.end + 2 * DAY
            truths[name] = _evaluated(name, model, samples, closes, later, spans.last, plan, seed, 0)
    skill = skill_of(evaluations, seed=seed)
    best = best_candidate([one.candidate for one in evaluations], skill.superior)
    control = next((one.control.net for one in evaluations if one.control), None)
    verdict = judge(best, None, skill=skill, control_net=control)
    pairs = [(one, truths[one.algorithm]) for one in evaluations if truths.get(one.algorithm)]
    return Judged(
        best.algorithm,
        verdict,
        ic={one.algorithm: _ic(one, truth) for one, truth in pairs if None not in (one.score.ic, truth.score.ic)},
        net={one.algorithm: _net(one, truth) for one, truth in pairs},
    )


@dataclass(frozen=True)
class Spans:
    """The instants a market is split at."""

    start: datetime
    cutoff: datetime
    end: datetime
    last: datetime

    @classmethod
    def of(cls, start: datetime, plan: Plan) -> Spans:
        """The instants of a plan on klines from `start` on."""
        cutoff = start + plan.training_days * DAY
        end = cutoff + plan.evaluated_days * DAY
        return cls(start, cutoff, end, end + plan.truth_days * DAY)


def _rows_by_features(klines: pl.DataFrame, plan: Plan, spans: Spans) -> dict[tuple[str, ...], Samples]:
    made = {}
    for features in {features_of(name) for name in plan.algorithms}:
        if is_relative(features):
            made[features] = relative_samples(whole_market(klines), start=spans.start, end=spans.last)
        else:
            frame = indicator_frame(klines, INTERVAL, spans.start, spans.last + timedelta(days=2))
            made[features] = make_samples(
                frame, features=features, interval=INTERVAL, start=spans.start, end=spans.last, derived=FEATURES
            )
    return made


def whole_market(klines: pl.DataFrame) -> HourlyMarket:
    """Closes and traded value of hourly klines on their common grid."""
    start = klines["time"].min()
    hours = (klines["time"].max() - start) // HOUR + 1
    return hourly_market(klines, tuple(sorted(klines["currency"].unique())), start, hours)


def _fit(name: str, samples: Samples, plan: Plan, cutoff: datetime, seed: int) -> FittedModel:
    algorithm = ALGORITHMS[name]
    known = samples.take(known_by(samples, cutoff))
    rows = TrainingRows.of(known, less_the_market(known) if is_relative(known.features) else known.y)
    folds = [(fold.train, fold.test) for fold in walk_forward(rows.time, folds=plan.folds, horizon=HORIZON)]
    tuned = tune(algorithm, rows, folds, trials=plan.trials, seed=seed)
    return fit_prepared(algorithm, rows, params=tuned.best_params, seed=seed)


def _evaluated(
    name: str,
    model: FittedModel,
    samples: Samples,
    closes: pl.DataFrame,
    start: datetime,
    end: datetime,
    plan: Plan,
    seed: int,
    draws: int,
) -> Evaluation | None:
    rows = samples.take((samples.time >= naive(start)) & (samples.time < naive(end)))
    predictions = pl.DataFrame(
        {
            "currency": rows.currency.astype(str),
            "time": pl.Series(rows.time).dt.replace_time_zone("UTC"),
            "predicted_return": model.predict(rows.X),
            "realised_return": pl.Series(rows.y).fill_nan(None),
        }
    ).with_columns(market=pl.lit("ALL"), algorithm=pl.lit(name), version=pl.lit("1"), cutoff=pl.lit(start))
    held = closes.filter(pl.col("time").is_between(start, end + HORIZON + HOUR, closed="left"))
    return evaluate(predictions, held, interval=INTERVAL, costs=plan.costs, seed=seed, draws=draws)


def _ic(seen: Evaluation, truth: Evaluation) -> Covered:
    return Covered(seen.score.ic, seen.score.ic_ci, truth.score.ic)


def _net(seen: Evaluation, truth: Evaluation) -> Covered:
    """The net value, beside what the true mean daily growth makes of as many days."""
    growth = float(np.log(truth.pool.daily_net).mean())
    return Covered(seen.pool.net, seen.pool.net_ci, float(np.exp(growth * len(seen.pool.daily_net))))

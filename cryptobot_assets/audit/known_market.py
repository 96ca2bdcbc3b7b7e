"""The platform's verdict on a market whose truth is known: does the gate err, do the intervals cover?

The way is that of the assets: indicators, samples known at the cutoff, tuning on purged folds, the final
fit, out-of-sample predictions, the evaluation, the test of all algorithms together, the verdict. Only the
store and the registry are left out.

    klines   |----- training -----|-- out of sample --|-- again --|-- again --| ...
                                cutoff      judged

What a fitted model is truly worth is read from all its spans together, of which the verdict sees the first
alone: its mean IC and its mean growth under the same law of the market.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl

from cryptobot_assets.audit.pipeline import INTERVAL, hourly_market, known_by, naive
from cryptobot_assets.domain.bootstrap import DRAWS, Interval
from cryptobot_assets.domain.evaluation import Evaluation, evaluate, skill_of
from cryptobot_assets.domain.features import is_stored
from cryptobot_assets.domain.indicators import indicator_frame
from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.pool_value import Costs
from cryptobot_assets.domain.promotion import Verdict, best_candidate, judge
from cryptobot_assets.domain.relative import HourlyMarket, is_relative, less_the_market, relative_samples
from cryptobot_assets.domain.samples import Samples, make_samples
from cryptobot_assets.domain.splits import walk_forward
from cryptobot_assets.models.algorithms import ALGORITHMS, features_of
from cryptobot_assets.models.base import FittedModel
from cryptobot_assets.models.preparation import TrainingRows, fit_prepared
from cryptobot_assets.models.tuning import tune
from cryptobot_assets.plugged import FEATURES

COSTS = Costs(fee_bps=10.0, slippage_bps=2.0)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a market is split and what is trained on it.

    Attributes:
        evaluated_days: of each span after the cutoff.
        spans: that each fitted model is scored on, one after the other; with one, nothing is said of the truth.
    """

    algorithms: tuple[str, ...]
    training_days: int = 120
    evaluated_days: int = 90
    spans: int = 1
    trials: int = 2
    folds: int = 2
    draws: int = DRAWS
    costs: Costs = COSTS

    @property
    def days(self) -> int:
        """Days of klines that are needed."""
        return self.training_days + self.spans * self.evaluated_days + 2


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
        ic, net: by algorithm, of each span; empty with one span. A constant model has no IC.
    """

    candidate: str
    verdict: Verdict
    ic: Mapping[str, tuple[Covered, ...]]
    net: Mapping[str, tuple[Covered, ...]]


def judge_market(klines: pl.DataFrame, plan: Plan, *, seed: int) -> Judged:
    """Train, predict, evaluate and judge, as the platform does.

    Args:
        klines: currency, time, close, volume; hourly, of at least `plan.days` days.
        seed: of tuning, fits and bootstraps.
    """
    spans = Spans.of(earliest(klines["time"]), plan)
    rows = _rows_by_features(klines, plan, spans)
    closes = klines.select("currency", "time", "close")
    evaluations: list[Evaluation] = []
    records: dict[str, list[Evaluation]] = {}
    for name in plan.algorithms:
        samples = rows[features_of(name)]
        model = _fit(name, samples, plan, spans.cutoff, seed)
        made = [_evaluated(name, model, samples, closes, *span, plan, seed) for span in spans.evaluated]
        if made[0]:
            evaluations.append(made[0])
        if plan.spans > 1:
            records[name] = [one for one in made if one]
    skill = skill_of(evaluations, seed=seed)
    best = best_candidate([one.candidate for one in evaluations], skill.superior)
    control = next((one.control.net for one in evaluations if one.control), None)
    verdict = judge(best, None, skill=skill, control_net=control)
    ics = {
        name: [(one.score.ic, one.score.ic_ci) for one in made if one.score.ic is not None]
        for name, made in records.items()
    }
    nets = {name: [(one.pool.net, one.pool.net_ci) for one in made if one.pool] for name, made in records.items()}
    return Judged(
        best.algorithm,
        verdict,
        ic={name: covered(found) for name, found in ics.items() if len(found) == len(records[name])},
        net={name: covered(found, multiple=True) for name, found in nets.items()},
    )


def covered(figures: Sequence[tuple[float, Interval]], *, multiple: bool = False) -> tuple[Covered, ...]:
    """A figure of each of n spans with its interval, beside the truth that all of them tell.

    A figure lies nearer to a mean that it is part of than to the truth, by sqrt(1 - 1 / n) in deviations of
    independent spans; so the truth beside each is put as much farther from it.

    Args:
        figures: of at least two spans.
        multiple: they are multiples of what was put in: their logarithms have the mean.
    """
    values = np.array([value for value, _ in figures])
    there, back = (np.log, np.exp) if multiple else (np.asarray, np.asarray)
    off = there(values) - there(values).mean()
    truths = back(there(values) - off / np.sqrt(1 - 1 / len(values)))
    return tuple(
        Covered(value, interval, float(truth)) for (value, interval), truth in zip(figures, truths, strict=True)
    )


@dataclass(frozen=True)
class Spans:
    """The instants a market is split at."""

    start: datetime
    cutoff: datetime
    evaluated: tuple[tuple[datetime, datetime], ...]

    @classmethod
    def of(cls, start: datetime, plan: Plan) -> Spans:
        """The instants of a plan on klines from `start` on."""
        cutoff = start + plan.training_days * DAY
        begins = [cutoff + number * plan.evaluated_days * DAY for number in range(plan.spans + 1)]
        return cls(start, cutoff, tuple(pairwise(begins)))

    @property
    def last(self) -> datetime:
        """The end of the last span."""
        return self.evaluated[-1][1]


def _rows_by_features(klines: pl.DataFrame, plan: Plan, spans: Spans) -> dict[tuple[str, ...], Samples]:
    made = {}
    for features in {features_of(name) for name in plan.algorithms}:
        if is_relative(features):
            made[features] = relative_samples(whole_market(klines), start=spans.start, end=spans.last)
        else:
            names = {"close", *filter(is_stored, features)}
            frame = indicator_frame(klines, INTERVAL, spans.start, spans.last + timedelta(days=2), names)
            made[features] = make_samples(
                frame, features=features, interval=INTERVAL, start=spans.start, end=spans.last, derived=FEATURES
            )
    return made


def whole_market(klines: pl.DataFrame) -> HourlyMarket:
    """Closes and traded value of hourly klines on their common grid."""
    start = earliest(klines["time"])
    hours = (latest(klines["time"]) - start) // HOUR + 1
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
    return evaluate(predictions, held, interval=INTERVAL, costs=plan.costs, seed=seed, draws=plan.draws)

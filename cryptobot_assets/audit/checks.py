"""Checks that a pipeline knows nothing too early, each by changing what it must not know.

A check asks the same question twice, of the market as it was and of one whose future, or whose
other rows, are different. Whatever differs in the answer was known too early. All columns and all
rows are compared, whether or not a model would have used them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cryptobot_assets.audit.pipeline import START, Pipeline, known_by, naive
from cryptobot_assets.domain.instants import latest
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.samples import Samples

CUTS = (105 * DAY, 112 * DAY, 121 * DAY)
CUTOFF = START + 120 * DAY
SHOWN = 4


@dataclass(frozen=True)
class Finding:
    """What one check says of a pipeline; `told` names what it saw."""

    check: str
    passed: bool
    told: str


def audit(pipeline: Pipeline, klines: pl.DataFrame) -> Iterator[Finding]:
    """Every check of a pipeline on a market, one after the other."""
    samples = pipeline.rows(klines, market_end(klines))
    for name, check in CHECKS.items():
        yield Finding(name, *check(pipeline, klines, samples))


def market_end(klines: pl.DataFrame) -> datetime:
    """The instant at which the last kline is finished."""
    return latest(klines["time"]) + HOUR


def features_know_no_future(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """Rows known at a cut are the same when everything after it is another story."""
    end = market_end(klines)
    for cut in (START + after for after in CUTS):
        other = pipeline.rows(another_future(klines, cut), end)
        told = _differing(samples, other, known_at=cut)
        if told:
            return False, f"{told} change with what comes after {cut:%Y-%m-%d}"
    return True, f"{len(samples.features)} columns, {len(samples):,} rows, {len(CUTS)} cuts"


def features_know_no_length(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """Rows known at a cut are those of a market whose recording ended there."""
    for cut in (START + after for after in CUTS):
        told = _differing(samples, pipeline.rows(klines.filter(pl.col("time") + HOUR <= cut), cut), known_at=cut)
        if told:
            return False, f"{told} change when recording ends at {cut:%Y-%m-%d}"
    return True, f"recording ended at {len(CUTS)} cuts"


def no_row_is_unfinished(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """No row belongs to a kline that trades are still added to."""
    now = START + CUTS[1] + HOUR / 2
    rows = pipeline.rows(klines.filter(pl.col("time") <= now), now)
    early = rows.time + np.timedelta64(HOUR) > naive(now)
    return not early.any(), f"{int(early.sum())} rows of klines that end after the present"


def no_label_is_early(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """No label is known before its 24 hours have passed."""
    now = START + CUTS[1]
    rows = pipeline.rows(klines, now)
    early = np.isfinite(rows.y) & (rows.time + np.timedelta64(HOUR + HORIZON) > naive(now))
    return not early.any(), f"{int(early.sum())} labels before the end of their 24 hours"


def labels_are_no_features(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """No column is the label in disguise."""
    known = np.isfinite(samples.y)
    X, y = samples.X[known], samples.y[known]
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.array([abs(np.corrcoef(column, y)[0, 1]) for column in X.T])
    found = [name for name, one in zip(samples.features, alike, strict=True) if one > 0.95]
    return not found, f"{', '.join(found)} is the label" if found else f"largest correlation {np.nanmax(alike):.2f}"


def training_labels_end_before_the_test(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """The last training label of each fold is known when its first test row is decided."""
    late = 0
    for fold in pipeline.folds(samples):
        ends = samples.time[fold.train] + np.timedelta64(HORIZON)
        late += int((ends > samples.time[fold.test].min()).sum())
    return late == 0, f"{late} training labels reach into a test span"


def folds_run_forward(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """Every training row of a fold is older than its test rows."""
    mixed = sum(
        int((samples.time[fold.train] >= samples.time[fold.test].min()).sum()) for fold in pipeline.folds(samples)
    )
    return mixed == 0, f"{mixed} training rows within or after a test span"


def no_row_is_twice(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """No row comes twice, and none is trained and tested on."""
    keys = pl.DataFrame({"currency": samples.currency.astype(str), "time": samples.time})
    twice = int(keys.is_duplicated().sum())
    rows = pl.DataFrame(np.column_stack([samples.X, samples.y])).hash_rows().to_numpy()
    shared = sum(int(np.isin(rows[fold.test], rows[fold.train]).sum()) for fold in pipeline.folds(samples))
    return twice + shared == 0, f"{twice} repeated keys, {shared} test rows that were trained on"


def fitting_reads_training_rows_alone(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """A fold's model is the same when its test rows are others."""
    fold = pipeline.folds(samples)[-1]
    other = _replaced(samples, fold.test)
    known = fold.train[np.isfinite(samples.y[fold.train])]
    probe = samples.X[known[:200]]
    same = np.allclose(pipeline.fit(samples, known)(probe), pipeline.fit(other, known)(probe), rtol=1e-9, atol=1e-12)
    return bool(same), "the model does not move with its test rows" if same else "the model moves with its test rows"


def choices_know_no_outcome(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """Tuned parameters are the same whatever happens after the cutoff."""
    before = pipeline.choose(samples, CUTOFF)
    after = pipeline.choose(_replaced(samples, np.flatnonzero(~known_by(samples, CUTOFF))), CUTOFF)
    same = before == after
    return same, "the choice stays" if same else f"{before} becomes {after} with other outcomes"


def the_universe_is_of_its_time(pipeline: Pipeline, klines: pl.DataFrame, samples: Samples) -> tuple[bool, str]:
    """The currencies to choose from are those that could be traded then, survivors or not."""
    for cut in (START + after for after in CUTS):
        recent = klines.filter(pl.col("time").is_between(cut - DAY, cut, closed="left"))["currency"]
        traded, offered = set(recent.unique()), set(pipeline.universe(klines, cut))
        if traded != offered:
            return False, f"{', '.join(sorted(traded ^ offered))} on {cut:%Y-%m-%d}"
    return True, f"as traded at {len(CUTS)} instants"


Check = Callable[[Pipeline, pl.DataFrame, Samples], tuple[bool, str]]
CHECKS: dict[str, Check] = {
    check.__name__.replace("_", " "): check
    for check in (
        features_know_no_future,
        features_know_no_length,
        no_row_is_unfinished,
        no_label_is_early,
        labels_are_no_features,
        training_labels_end_before_the_test,
        folds_run_forward,
        no_row_is_twice,
        fitting_reads_training_rows_alone,
        choices_know_no_outcome,
        the_universe_is_of_its_time,
    )
}


def another_future(klines: pl.DataFrame, cut: datetime) -> pl.DataFrame:
    """The same klines up to a cut, and a wilder market after it."""
    draw = np.random.default_rng(1)
    after = (klines["time"] + HOUR > cut).to_numpy()
    factor = np.where(after, np.exp(draw.normal(0.4, 0.3, klines.height)), 1.0)
    return klines.with_columns(pl.col("close") * factor, pl.col("volume") * factor**3)


def _differing(samples: Samples, other: Samples, *, known_at: datetime) -> str:
    """Columns, or rows, that are not the same among the rows known at an instant; empty when all are."""
    ours, theirs = (
        one.take(np.less_equal(one.time + np.timedelta64(HOUR), naive(known_at))) for one in (samples, other)
    )
    if not len(ours) or not len(theirs):
        return "all rows"
    if not (np.array_equal(ours.time, theirs.time) and np.array_equal(ours.currency, theirs.currency)):
        return f"{abs(len(ours) - len(theirs)) or 'some'} rows"
    same = np.isclose(ours.X, theirs.X, rtol=1e-9, atol=1e-12).all(axis=0)
    names = [name for name, one in zip(ours.features, same, strict=True) if not one]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _replaced(samples: Samples, rows: np.ndarray) -> Samples:
    """The samples with other features and labels in some rows."""
    draw = np.random.default_rng(2)
    X, y = samples.X.copy(), samples.y.copy()
    X[rows] = X[rows] * 50 + draw.normal(0, 5, X[rows].shape)
    y[rows] = np.where(np.isfinite(y[rows]), X[rows, 0] * 0.3 + draw.normal(0, 0.01, len(rows)), np.nan)
    return Samples(samples.features, samples.currency, samples.time, X, y, samples.dropped)

"""What an algorithm's rows are worth over the chosen days: the domain's own figures, of one reading of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from cryptobot_assets.dashboard.queries import Selection
from cryptobot_assets.domain.curves import (
    Band,
    Calibration,
    Density,
    SkillCourse,
    calibration,
    days_from,
    density,
    equity_band,
    skill_by_currency,
    skill_course,
)
from cryptobot_assets.domain.day_facts import day_facts
from cryptobot_assets.domain.evaluation import Evaluation, report_row
from cryptobot_assets.domain.metrics import at_whole_hours
from cryptobot_assets.domain.pool_value import equity, holding_curve
from cryptobot_assets.domain.rule_table import result_row
from cryptobot_assets.leaderboard import Tapes, costs_of, evaluate_predictions, evaluate_rules
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import PREDICTIONS, Store

JUDGED = ["market", "algorithm", "version", "currency", "time", "predicted_return", "realised_return", "cutoff"]


@dataclass(frozen=True)
class Skill:
    """How well outcomes were predicted.

    Attributes:
        row: the figures as the report has them (`models` of its JSON).
        days: sums of each day, see `day_facts`.
        cutoffs: of the versions that scored rows.
        by_currency: see `skill_by_currency`. The rest is of rows known at whole hours, None without any.
    """

    row: Mapping[str, Any]
    days: pl.DataFrame
    cutoffs: tuple[tuple[datetime, str], ...]
    course: SkillCourse
    tenths: Calibration | None
    cloud: Density | None
    by_currency: pl.DataFrame


@dataclass(frozen=True)
class Value:
    """What capital would have become.

    Attributes:
        row: `pool_value` of the report, with its allocation rules.
        control: `control` of the report.
        times: an instant a day; net, band, held: the pool, its 90 % band, and the control, from 1.
    """

    row: Mapping[str, Any]
    control: Mapping[str, float]
    times: tuple[datetime, ...]
    net: np.ndarray
    band: Band | None
    held: np.ndarray
    currencies: int


def evaluated(
    store: Store, settings: Settings, chosen: Selection, *, alone: bool
) -> tuple[pl.DataFrame, Evaluation | None]:
    """The rows with a known outcome, and their evaluation; None where there is none yet.

    Args:
        alone: the chosen currency by itself rather than the whole market.
    """
    rows = store.read(
        PREDICTIONS,
        start=chosen.span.start,
        end=chosen.span.end,
        columns=JUDGED,
        **chosen.named(one_currency=alone),
    )
    if rows.is_empty():
        return rows, None
    found = evaluate_predictions(store, settings, {chosen.algorithm: rows})
    return rows.drop_nulls("realised_return"), found[0] if found else None


def skill(
    store: Store,
    settings: Settings,
    chosen: Selection,
    alone: bool,  # noqa: FBT001 the arguments of a query are handed over in order, and are the key of its answer
) -> Skill | None:
    """Errors, direction, IC and calibration; None while no outcome is known."""
    rows, evaluation = evaluated(store, settings, chosen, alone=alone)
    if evaluation is None:
        return None
    hourly = at_whole_hours(rows, settings.interval)
    versions = rows.group_by("version", "cutoff").len().sort("cutoff")
    return Skill(
        row=report_row(evaluation, costs_of(settings), trials=settings.trials, folds=settings.folds),
        days=day_facts(rows),
        cutoffs=tuple((cutoff, version) for version, cutoff, _ in versions.iter_rows()),
        course=skill_course(evaluation.score.skill, seed=settings.seed),
        tenths=calibration(hourly, seed=settings.seed) if hourly.height else None,
        cloud=density(hourly) if hourly.height else None,
        by_currency=skill_by_currency(hourly),
    )


def value(store: Store, settings: Settings, chosen: Selection) -> Value | None:
    """The pool's value beside the control's; None while no 24 hour hold has ended."""
    _, evaluation = evaluated(store, settings, chosen, alone=False)
    if evaluation is None or evaluation.pool is None or evaluation.hours is None or evaluation.control is None:
        return None
    rules = evaluate_rules(Tapes(store, settings.interval), settings, [evaluation])[evaluation.algorithm]
    row = report_row(evaluation, costs_of(settings), trials=settings.trials, folds=settings.folds)["pool_value"]
    net = equity(evaluation.pool)
    return Value(
        row=row | {"rules": [result_row(one) for one in rules]},
        control=vars(evaluation.control),
        times=tuple(days_from(evaluation.hours.first, len(net))),
        net=net,
        band=equity_band(evaluation.pool.daily_net, seed=settings.seed),
        held=holding_curve(evaluation.hours)[: len(net)],
        currencies=len(evaluation.hours.currencies),
    )

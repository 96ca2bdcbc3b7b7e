"""One algorithm's part of the page: its charts and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cryptobot_assets.domain.curves import (
    calibration,
    days_from,
    density,
    equity_band,
    skill_by_currency,
    skill_course,
)
from cryptobot_assets.domain.evaluation import Evaluation
from cryptobot_assets.domain.labels import HORIZON_HOURS
from cryptobot_assets.domain.metrics import SMALLEST_CROSS_SECTION, at_whole_hours
from cryptobot_assets.domain.pool_value import Hours, equity, holding_curve
from cryptobot_assets.domain.portfolio import Result
from cryptobot_assets.leaderboard import Evidence
from cryptobot_assets.page import charts, model_charts, tables
from cryptobot_assets.page.charts import Chart
from cryptobot_assets.page.facts import Making
from cryptobot_assets.page.tables import Table
from cryptobot_assets.report import BITCOIN
from cryptobot_assets.settings import Settings


@dataclass(frozen=True)
class Section:
    """One algorithm: its charts and tables. `shown`: open from the start."""

    algorithm: str
    summary: str
    charts: Sequence[Chart]
    tables: Sequence[tuple[str, Table]]
    shown: bool


def make_section(
    evaluation: Evaluation,
    evidence: Evidence,
    model: Mapping[str, Any],
    makings: Sequence[Making],
    settings: Settings,
    *,
    shown: bool,
) -> Section:
    """The charts and tables of one algorithm."""
    known = evidence.predictions[evaluation.algorithm].drop_nulls("realised_return")
    rules = evidence.rules.get(evaluation.algorithm, ())
    made = [
        *_prediction_charts(evaluation, at_whole_hours(known, settings.interval), settings),
        *_value_charts(evaluation, rules, settings),
        *_making_charts(makings),
    ]
    pool = model["pool_value"]
    summary = (
        f"version {model['version']}, net {tables.with_interval(pool['net'], pool['net_ci'])}, "
        f"IC {tables.with_interval(model['ic'], model['ic_ci'])}, error {tables.relative_error(model)} against zero"
    )
    extra = tables.further({name: value for name, value in model.items() if name not in tables.KNOWN})
    parts = [
        ("Allocation rules, the same predictions", tables.rule_table(model)),
        ("Direction", tables.class_table(model)),
        ("Further figures", extra),
        ("Versions", version_table(makings)),
    ]
    return Section(evaluation.algorithm, summary, made, [part for part in parts if part[1].rows], shown)


def _prediction_charts(evaluation: Evaluation, hourly: pl.DataFrame, settings: Settings) -> list[Chart]:
    """What the predictions are worth as such; none where no row is known at a whole hour."""
    if hourly.is_empty():
        return []
    tenths = calibration(hourly, seed=settings.seed)
    made = [charts.against_outcome(density(hourly), tenths), charts.calibration_chart(tenths)]
    course = skill_course(evaluation.score.skill, seed=settings.seed)
    if course.weeks:
        many = hourly["currency"].n_unique() >= SMALLEST_CROSS_SECTION
        made.append(charts.skill_chart(course, cross_section=many))
    skills = skill_by_currency(hourly)
    if skills.height:
        made.append(charts.currency_chart(skills))
    return made


def _value_charts(evaluation: Evaluation, rules: Sequence[Result], settings: Settings) -> list[Chart]:
    """What capital became; none while no 24 h hold has ended."""
    if evaluation.pool is None or evaluation.hours is None or evaluation.control is None:
        return []
    hours, net = evaluation.hours, equity(evaluation.pool)
    held = holding_curve(hours)
    band = equity_band(evaluation.pool.daily_net, seed=settings.seed)
    days = days_from(hours.first, len(net))
    made = [charts.equity_chart(days, net, band, held[: len(net)], _bitcoin_curve(hours, len(net)))]
    if rules:
        made.append(charts.cost_chart(rules, evaluation.control.net, settings.fee_bps + settings.slippage_bps))
    return made


def _bitcoin_curve(hours: Hours, days: int) -> np.ndarray | None:
    """Value of holding BTC alone, from 1, None where it is not of the universe or has no close at the start."""
    if BITCOIN not in hours.currencies:
        return None
    closes = hours.closes[::HORIZON_HOURS, hours.currencies.index(BITCOIN)][:days]
    return closes / closes[0] if np.isfinite(closes[0]) else None


def _making_charts(makings: Sequence[Making]) -> list[Chart]:
    made = []
    newest = makings[-1] if makings else None
    if newest and any(newest.importance.values()):
        made.append(model_charts.importance_chart(newest.importance))
    if newest and newest.worths:
        made.append(model_charts.worth_chart(newest.worths))
    tried = [one for one in makings if any(value is not None for value in one.trials)]
    if tried:
        made.append(
            model_charts.trial_chart(
                {one.cutoff: one.trials for one in tried}, {one.cutoff: one.zero for one in tried if one.zero}
            )
        )
    return made


def version_table(makings: Sequence[Making]) -> Table:
    """How each version was made."""
    rows = [
        [
            one.version,
            one.cutoff,
            f"{one.params.get('start_time', '')[:10]} to {one.params.get('end_time', '')[:10]}",
            one.params.get("training_rows", tables.NOTHING),
            one.store_version,
            one.git_commit[:12],
            ", ".join(f"{name} {value}" for name, value in one.tuned.items()) or tables.NOTHING,
        ]
        for one in makings
    ]
    columns = ("version", "cutoff", "trained on", "rows", "store version", "commit", "tuned values")
    return Table("versions", columns, rows)

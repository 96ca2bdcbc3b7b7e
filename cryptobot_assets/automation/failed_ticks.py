"""Schedules and sensors that could not ask for what they should."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus

from cryptobot_assets.alerts.advice import advice_on
from cryptobot_assets.alerts.book import Problem
from cryptobot_assets.automation.causes import Cause, first_cause
from cryptobot_assets.automation.pages import Pages

SENSOR_PATIENCE = 3
"""Looks of a sensor that must fail in a row: one alone passes with the restart of a code server."""


def tick_problems(instance: dg.DagsterInstance, pages: Pages, *, but: str) -> list[Problem]:
    """Schedules whose last tick failed, and sensors whose last looks did; `but` is the name of the one who asks."""
    states = [one for one in instance.all_instigator_state() if one.is_running and one.instigator_name != but]
    problems = []
    for state in states:
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
        ended = next((tick for tick in ticks if tick.status != TickStatus.STARTED), None)
        if ended is not None and ended.status == TickStatus.FAILURE and _matters(state, ended):
            problems.append(_tick_problem(state, ended, pages))
    return problems


def _matters(state: InstigatorState, tick: InstigatorTick) -> bool:
    if state.instigator_type == InstigatorType.SCHEDULE:
        return True
    return (tick.tick_data.consecutive_failure_count or 0) >= SENSOR_PATIENCE


def _tick_problem(state: InstigatorState, tick: InstigatorTick, pages: Pages) -> Problem:
    cause = first_cause(tick.error) if tick.error is not None else Cause("Tick", "it ended without a word", ours=False)
    return Problem(
        cause=f"tick of {state.instigator_name}: {cause.kind}",
        title=f"{state.instigator_name} could not ask for runs",
        reason=cause.reason,
        advice=advice_on(cause.kind),
        links=(pages.automation,),
        occurrence=str(tick.tick_id) if state.instigator_type == InstigatorType.SCHEDULE else "",
    )

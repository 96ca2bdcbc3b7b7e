"""Asset checks whose newest evaluation failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from cryptobot_assets.alerts.book import Problem
from cryptobot_assets.automation.pages import Pages


@dataclass(frozen=True, kw_only=True)
class FailedCheck:
    """An asset check whose newest evaluation failed, with severity ERROR."""

    asset: str
    check: str
    partition: str
    reason: str
    run_id: str


def failed_checks(instance: dg.DagsterInstance, graph: AssetGraph, held: Sequence[FailedCheck]) -> list[FailedCheck]:
    """The checks that fail now; one being evaluated again stays as `held` knows it."""
    keys = list(graph.asset_check_keys)
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys) if keys else {}
    known = {(one.asset, one.check): one for one in held}
    found = []
    for key, record in newest.items():
        if record.status == Status.PLANNED:
            one = known.get((key.asset_key.to_user_string(), key.name))
        else:
            one = _failed(key, record)
        found += [one] if one is not None else []
    return found


def _failed(key: dg.AssetCheckKey, record: AssetCheckExecutionRecord) -> FailedCheck | None:
    evaluation = record.evaluation
    if record.status != Status.FAILED or evaluation is None or evaluation.severity != dg.AssetCheckSeverity.ERROR:
        return None
    return FailedCheck(
        asset=key.asset_key.to_user_string(),
        check=key.name,
        partition=record.partition or "",
        reason=(evaluation.description or "it says no more").splitlines()[0],
        run_id=record.run_id,
    )


def check_problems(checks: Iterable[FailedCheck], pages: Pages) -> list[Problem]:
    """One problem a check."""
    return [
        Problem(
            cause=f"check {one.check} of {one.asset}",
            title=f"{one.asset}: {one.check.replace('_', ' ')} is not true",
            reason=one.reason,
            advice="look at the check's page; it is evaluated anew with the next materialization",
            subjects=(one.partition,) if one.partition else (),
            links=(f"{pages.asset(one.asset)}?view=checks", pages.run(one.run_id)),
            occurrence=one.run_id,
        )
        for one in checks
    ]

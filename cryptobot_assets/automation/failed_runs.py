"""Runs that failed and were not made good yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from cryptobot_assets.alerts.advice import advice_on
from cryptobot_assets.alerts.book import Problem
from cryptobot_assets.automation.causes import Cause, first_cause
from cryptobot_assets.automation.pages import Pages
from cryptobot_assets.automation.records import PROCESS_TAG, RANGE_END, RANGE_START, newest_records

MOST_RECORDS = 200
MOST_WATCHED = 200
WATCHED = timedelta(days=7)
MOST_NAMED = 3
DECIDED_WITHIN = timedelta(seconds=30)
PARTITION, WILL_RETRY = "dagster/partition", "dagster/will_retry"


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run that failed and was not made good yet.

    Attributes:
        first, last: first and last partition key, empty where it had none.
        place: of its failure in the event log; what is recorded later makes it good.
    """

    run_id: str
    assets: tuple[str, ...]
    first: str
    last: str
    place: int
    at: datetime
    kind: str
    reason: str


def failed_runs(
    instance: dg.DagsterInstance, place: int | None, held: Sequence[FailedRun], now: datetime
) -> tuple[int, list[FailedRun]]:
    """The place to go on from, and the failed runs to watch: those held and those that failed since `place`.

    Without a place what failed so far counts as known. Left out are runs that are tried again by themselves,
    and those inside a command, which tells of them itself.
    """
    kind: Final = dg.DagsterEventType.RUN_FAILURE
    if place is None:
        newest = instance.fetch_run_status_changes(kind, limit=1).records
        return (newest[0].storage_id if newest else 0), list(held)
    since = dg.RunStatusChangeRecordsFilter(event_type=kind, after_storage_id=place)
    found = list(held)
    for record in instance.fetch_run_status_changes(since, limit=MOST_RECORDS, ascending=True).records:
        run = instance.get_run_by_id(record.run_id)
        at = datetime.fromtimestamp(record.timestamp, UTC)
        if run is not None and _is_being_decided(instance, run, at, now):
            break
        place = record.storage_id
        if run is not None and run.tags.get(WILL_RETRY) != "true" and PROCESS_TAG not in run.tags:
            found.append(_failed(run, unmade(instance, run), place, at, cause_of(instance, run.run_id)))
    return place, found[-MOST_WATCHED:]


def _is_being_decided(instance: dg.DagsterInstance, run: dg.DagsterRun, at: datetime, now: datetime) -> bool:
    """Whether Dagster, which has just recorded the failure, is about to say if it tries the run again."""
    return instance.run_retries_enabled and WILL_RETRY not in run.tags and now - at < DECIDED_WITHIN


def _failed(run: dg.DagsterRun, assets: Iterable[dg.AssetKey], place: int, at: datetime, cause: Cause) -> FailedRun:
    one = run.tags.get(PARTITION, "")
    return FailedRun(
        run_id=run.run_id,
        assets=tuple(sorted(key.to_user_string() for key in assets)) or (run.job_name,),
        first=run.tags.get(RANGE_START, one),
        last=run.tags.get(RANGE_END, one),
        place=place,
        at=at,
        kind=cause.kind,
        reason=cause.reason,
    )


def unmade(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[dg.AssetKey]:
    """The assets that a failed run was to make and did not; all of them where it failed after making them."""
    wanted = set(run.asset_selection or instance.get_asset_keys_for_run(run.run_id))
    made = set(instance.get_asset_keys_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION))
    return wanted - made or wanted


def cause_of(instance: dg.DagsterInstance, run_id: str) -> Cause:
    """Why a run failed: its first step's error, else what Dagster said of its end."""
    steps = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records
    if steps:
        failure = steps[0].event_log_entry.get_dagster_event().step_failure_data
        if failure.error is not None:
            return first_cause(failure.error)
    ends = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    said = ends[-1].event_log_entry.get_dagster_event().message if ends else ""
    return Cause("RunFailure", (said or "it ended without a word").splitlines()[0], ours=False)


def still_failed(
    instance: dg.DagsterInstance, graph: AssetGraph, runs: Iterable[FailedRun], now: datetime
) -> list[FailedRun]:
    """Those of the runs that were not made good since: some partition of theirs was not recorded later."""
    return [run for run in runs if now - run.at < WATCHED and not _made_good(instance, graph, run)]


def _made_good(instance: dg.DagsterInstance, graph: AssetGraph, run: FailedRun) -> bool:
    known = [asset for asset in run.assets if graph.has(dg.AssetKey(asset))]
    for asset in known:
        keys = partition_keys(graph, asset, run.first, run.last)
        if keys is None:
            newest = instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
            if not newest or newest[0].storage_id < run.place:
                return False
        else:
            recorded = newest_records(instance, asset, keys)
            if any(recorded.get(key, -1) < run.place for key in keys):
                return False
    return bool(known)


def partition_keys(graph: AssetGraph, asset: str, first: str, last: str) -> list[str] | None:
    """Partitions of an asset from one key to another; None for an asset, or a run, without partitions."""
    held = graph.get(dg.AssetKey(asset)).partitions_def
    if held is None or not first:
        return None
    if not (held.has_partition_key(first) and held.has_partition_key(last)):
        return []
    return list(held.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))


def run_problems(runs: Iterable[FailedRun], graph: AssetGraph, pages: Pages) -> list[Problem]:
    """One problem for every kind of failure of the same assets, however many runs it took along."""
    alike: dict[tuple[tuple[str, ...], str], list[FailedRun]] = defaultdict(list)
    for run in runs:
        alike[run.assets, run.kind].append(run)
    return [_run_problem(assets, kind, group, graph, pages) for (assets, kind), group in alike.items()]


def _run_problem(
    assets: tuple[str, ...], kind: str, runs: Sequence[FailedRun], graph: AssetGraph, pages: Pages
) -> Problem:
    name = ", ".join(assets[:MOST_NAMED]) + (f" and {len(assets) - MOST_NAMED} more" * (len(assets) > MOST_NAMED))
    keys = {
        key
        for run in runs
        for asset in assets
        if graph.has(dg.AssetKey(asset))
        for key in partition_keys(graph, asset, run.first, run.last) or ()
    }
    spans = dict.fromkeys(run.first if run.first == run.last else f"{run.first} to {run.last}" for run in runs)
    return Problem(
        cause=f"run of {', '.join(assets)}: {kind}",
        title=f"{name} failed" + (f" for {len(keys)} partition{'s'[: len(keys) > 1]}" if keys else ""),
        reason=runs[-1].reason,
        advice=advice_on(kind),
        subjects=tuple(span for span in spans if span),
        links=tuple(pages.run(run.run_id) for run in reversed(runs)),
        occurrence=runs[-1].run_id,
    )

"""What Dagster has recorded of partitions and runs, and the runs asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from cryptobot_assets.automation.due import Due, Link, ranges, reads, stale, without
from cryptobot_assets.partitions import Group, Partitions
from cryptobot_assets.settings import Settings

ASSET_JOB = IMPLICIT_ASSET_JOB_NAME
"""The job the UI launches assets under. One of our own would demand one partitions definition of all its assets."""

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
NOT_BEGUN = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
PROCESS_TAG = "cryptobot/process"
"""Marks a run that a command does in its own process, and names that process."""

CRASH_RETRIES = {"dagster/max_retries": "2", "dagster/retry_on_asset_or_op_failure": "false"}
"""A run whose process died is started again; one that failed has tried again already, and says why."""

MOST_NAMED = 2000
"""Partitions named in one question to the event log; of more, all are asked for."""


def schedule_status(settings: Settings) -> dg.DefaultScheduleStatus:
    """Whether a schedule runs until someone says otherwise on its page."""
    return dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED


def sensor_status(settings: Settings) -> dg.DefaultSensorStatus:
    """Whether a sensor runs until someone says otherwise on its page."""
    return dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED


def newest_records(
    instance: dg.DagsterInstance, asset: str, partition_keys: Iterable[str] | None = None
) -> dict[str, int]:
    """Where in the event log each partition's newest materialization stands; of all partitions, or of those named."""
    wanted = None if partition_keys is None else set(partition_keys)
    if wanted == set():
        return {}
    named = wanted if wanted and len(wanted) <= MOST_NAMED else None
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    found = instance.get_latest_storage_id_by_partition(dg.AssetKey(asset), kind, named)
    return {key: place for key, place in found.items() if wanted is None or key in wanted}


def left_behind(instance: dg.DagsterInstance, asset: str) -> set[str]:
    """Partitions whose newest run failed or was killed: what it stored of them nobody knows."""
    log = instance.event_log_storage
    tried = log.get_latest_asset_partition_materialization_attempts_without_materializations(dg.AssetKey(asset))
    if not tried:
        return set()
    runs = instance.get_runs(dg.RunsFilter(run_ids=list({run_id for run_id, _ in tried.values()})))
    going_on = {run.run_id for run in runs if not run.is_finished}
    return {key for key, (run_id, _) in tried.items() if run_id not in going_on}


def keys_of(currencies: Iterable[str], keys: Sequence[str]) -> Iterator[str]:
    """Partition keys of market data: every currency over every span."""
    return (f"{currency}|{key}" for currency in currencies for key in keys)


def stale_partitions(
    instance: dg.DagsterInstance, link: Link, partitions: Partitions, group: Group, keys: Sequence[str]
) -> Due:
    """Of these spans, those of the link's downstream layer that are older than something they are made of."""
    read = sorted({one for key in keys for one in reads(link, partitions, key)})
    asset = group.asset(link.downstream)
    made = newest_records(instance, asset, keys_of(group.currencies, keys))
    for key in left_behind(instance, asset):
        made.pop(key, None)
    return stale(
        link,
        group.currencies,
        newest_records(instance, group.asset(link.upstream), keys_of(group.currencies, read)),
        made,
        partitions,
        keys,
    )


def range_requests(
    instance: dg.DagsterInstance, partitions: Partitions, group: Group, asset: str, due: Due, *, occasion: str
) -> list[dg.RunRequest]:
    """Runs of a group's asset over what is due and does not wait in the queue already.

    The same occasion never asks for the same run twice.
    """
    return [
        dg.RunRequest(
            job_name=ASSET_JOB,
            asset_selection=[dg.AssetKey(asset)],
            run_key=f"{asset} {occasion} {first} {last}",
            tags={RANGE_START: first, RANGE_END: last, **CRASH_RETRIES},
        )
        for first, last in ranges(without(due, waiting(instance, partitions, group, asset)))
    ]


def waiting(instance: dg.DagsterInstance, partitions: Partitions, group: Group, asset: str) -> set[str]:
    """Partitions of an asset in runs that have not begun, and will read whatever is new by then."""
    runs = instance.get_runs(dg.RunsFilter(statuses=NOT_BEGUN))
    ours = [run for run in runs if dg.AssetKey(asset) in (run.asset_selection or ()) and RANGE_START in run.tags]
    return {key for run in ours for key in keys_between(partitions, group, run.tags[RANGE_START], run.tags[RANGE_END])}


def keys_between(partitions: Partitions, group: Group, first: str, last: str) -> Iterable[str]:
    """The partitions Dagster means by the range between two keys; none where a currency is not held any more."""
    held = group.currencies
    (currency, start), (other, end) = first.split("|"), last.split("|")
    if currency not in held or other not in held:
        return ()
    spans = partitions.span_keys(partitions.span(start)[0].date(), partitions.span(end)[0].date())
    return keys_of(held[held.index(currency) : held.index(other) + 1], spans)

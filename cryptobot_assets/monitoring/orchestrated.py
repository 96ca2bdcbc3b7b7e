"""What Dagster remembers: runs, materializations, checks, ticks, daemons and the newest drift reports.

It is asked through its instance, so that any of its storages will do, and for what is new where it
has a lot to tell.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus

from cryptobot_assets.assets.decay import NAME as DRIFT_REPORT
from cryptobot_assets.assets.decay import RETRAIN
from cryptobot_assets.monitoring.families import Figure

STATUSES = {
    "queued": (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING),
    "started": (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
    "success": (dg.DagsterRunStatus.SUCCESS,),
    "failure": (dg.DagsterRunStatus.FAILURE,),
    "canceled": (dg.DagsterRunStatus.CANCELED,),
}
GOING_ON = ("queued", "started")
OUTCOMES = ("success", "failure", "canceled")
MOST_RUNS = 500
"""Newest runs that are looked through at first, for the last of each asset."""
OVERLAP = timedelta(minutes=1)
"""Looked at again each time, because storages round the instant of an update."""
MOST_TICKS = 5
MOST_REPORTS = 100
PARTITIONS_SECONDS = 600.0
"""Partitions take long to count: those of an asset are counted again this much later at the earliest."""
DRIFT = {
    "feature_index": "cryptobot_drift_feature_index",
    "feature_p": "cryptobot_drift_feature_p",
    "interval_coverage": "cryptobot_drift_interval_coverage_ratio",
}


@dataclass(frozen=True)
class LastRun:
    """The last run of an asset that ended: when (Unix time), its place in storage, how, and how long it took."""

    ended: float
    place: int
    outcome: str
    seconds: float


class DagsterWatch:
    """Reads a Dagster instance for the assets and checks of one deployment."""

    def __init__(
        self, instance: dg.DagsterInstance, graph: AssetGraph, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._instance = instance
        self._keys = {
            key.to_user_string(): key for key in graph.get_all_asset_keys() if graph.get(key).is_materializable
        }
        self._partitioned = {name for name, key in self._keys.items() if graph.get(key).is_partitioned}
        self._checks = list(graph.asset_check_keys)
        self._clock = clock
        self._seen: datetime | None = None
        self._counted: set[str] = set()
        self._last: dict[str, LastRun] = {}
        self._ended: Counter[tuple[str, str]] = Counter()
        self._partitions: dict[str, tuple[float, float, int]] = {}

    def __call__(self) -> list[Figure]:
        """Every figure of the instance; what its storage raises when it is away is raised as it is."""
        return [
            *self._run_counts(),
            *self._runs(),
            *self._materialized(),
            *self._check_results(),
            *self._ticks(),
            *self._daemons(),
            *self._drift(),
        ]

    def _run_counts(self) -> Iterable[Figure]:
        for status, of in STATUSES.items():
            filters = dg.RunsFilter(statuses=list(of))
            count = self._instance.get_runs_count(filters)
            yield Figure("cryptobot_runs", count, {"status": status})
            if status in GOING_ON:
                oldest = self._instance.get_run_records(filters, limit=1, ascending=True) if count else []
                since = [record.start_time or record.create_timestamp.timestamp() for record in oldest]
                age = max((self._clock() - one for one in since), default=0.0)
                yield Figure("cryptobot_oldest_run_age_seconds", max(age, 0.0), {"status": status})

    def _runs(self) -> Iterable[Figure]:
        now = datetime.fromtimestamp(self._clock(), UTC)
        since = None if self._seen is None else self._seen - OVERLAP
        filters = None if since is None else dg.RunsFilter(updated_after=since)
        records = self._instance.get_run_records(filters, limit=MOST_RUNS, order_by="update_timestamp")
        ended = {one.dagster_run.run_id: one for one in records if one.dagster_run.is_finished}
        for run_id, record in ended.items():
            news = since is not None and run_id not in self._counted and _ended_at(record) >= since.timestamp()
            self._take(record, count=news)
        self._seen, self._counted = now, set(ended)
        for asset in self._keys:
            for outcome in OUTCOMES:
                labels = {"asset": asset, "outcome": outcome}
                yield Figure("cryptobot_asset_runs_total", self._ended[asset, outcome], labels)
            if asset in self._last:
                last, named = self._last[asset], {"asset": asset}
                yield Figure("cryptobot_asset_run_passed", 1 if last.outcome == "success" else 0, named)
                yield Figure("cryptobot_asset_run_seconds", last.seconds, named)
                yield Figure("cryptobot_asset_run_timestamp_seconds", last.ended, named)

    def _take(self, record: dg.RunRecord, *, count: bool) -> None:
        """Take a run that ended into account."""
        outcome = next(name for name in OUTCOMES if record.dagster_run.status in STATUSES[name])
        began = record.start_time or record.create_timestamp.timestamp()
        ended = _ended_at(record)
        for key in record.dagster_run.asset_selection or ():
            asset = key.to_user_string()
            if asset not in self._keys:
                continue
            self._ended[asset, outcome] += count
            held = self._last.get(asset)
            if held is None or (held.ended, held.place) < (ended, record.storage_id):
                self._last[asset] = LastRun(ended, record.storage_id, outcome, max(ended - began, 0.0))

    def _materialized(self) -> Iterable[Figure]:
        for record in self._instance.get_asset_records(list(self._keys.values())):
            newest, asset = record.asset_entry.last_materialization, record.asset_entry.asset_key.to_user_string()
            if newest is None:
                continue
            named = {"asset": asset}
            yield Figure("cryptobot_asset_materialized_timestamp_seconds", newest.timestamp, named)
            if asset in self._partitioned:
                yield Figure("cryptobot_asset_partitions", self._count_partitions(asset, newest.timestamp), named)

    def _count_partitions(self, asset: str, newest: float) -> int:
        held = self._partitions.get(asset)
        if held is None or (held[0] != newest and self._clock() - held[1] >= PARTITIONS_SECONDS):
            count = len(self._instance.get_materialized_partitions(self._keys[asset]))
            held = self._partitions[asset] = (newest, self._clock(), count)
        return held[2]

    def _check_results(self) -> Iterable[Figure]:
        log = self._instance.event_log_storage
        newest = log.get_latest_asset_check_execution_by_key(self._checks) if self._checks else {}
        for key, record in newest.items():
            if record.status not in (CheckStatus.SUCCEEDED, CheckStatus.FAILED) or record.evaluation is None:
                continue
            labels = {
                "asset": key.asset_key.to_user_string(),
                "check": key.name,
                "severity": record.evaluation.severity.value.lower(),
            }
            yield Figure("cryptobot_check_passed", 1 if record.status == CheckStatus.SUCCEEDED else 0, labels)

    def _ticks(self) -> Iterable[Figure]:
        newest: dict[str, list[InstigatorTick]] = {}
        for state in self._instance.all_instigator_state():
            if not state.is_running:
                continue
            ticks = self._instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=MOST_TICKS)
            ended = [tick for tick in ticks if tick.status != TickStatus.STARTED]
            held = newest.get(state.instigator_name)  # the same of another code location, as `dagster dev` makes one
            if ended and (held is None or held[0].timestamp < ended[0].timestamp):
                newest[state.instigator_name] = ended
        for name, ended in newest.items():
            yield Figure("cryptobot_tick_failures", failures_in_a_row(ended), {"instigator": name})
            yield Figure("cryptobot_tick_timestamp_seconds", ended[0].timestamp, {"instigator": name})

    def _daemons(self) -> Iterable[Figure]:
        for daemon, heartbeat in self._instance.get_daemon_heartbeats().items():
            labels = {"daemon": daemon.lower()}
            yield Figure("cryptobot_daemon_heartbeat_timestamp_seconds", heartbeat.timestamp, labels)

    def _drift(self) -> Iterable[Figure]:
        newest: dict[str, dg.EventLogRecord] = {}
        for record in self._instance.fetch_materializations(dg.AssetKey(DRIFT_REPORT), limit=MOST_REPORTS).records:
            newest.setdefault(record.partition_key or "", record)
        for market, record in newest.items():
            yield from _drift_figures(market, record)


def _ended_at(record: dg.RunRecord) -> float:
    return record.end_time or record.update_timestamp.timestamp()


def _drift_figures(market: str, record: dg.EventLogRecord) -> Iterable[Figure]:
    materialization = record.asset_materialization
    if materialization is None:
        return
    metadata: dict[str, Any] = {name: told.value for name, told in materialization.metadata.items()}
    named = {"market": market}
    yield Figure("cryptobot_drift_found", 1 if RETRAIN in metadata else 0, named)
    yield Figure("cryptobot_drift_report_timestamp_seconds", record.timestamp, named)
    for name, family in DRIFT.items():
        if metadata.get(name) is not None:
            yield Figure(family, float(metadata[name]), named)
    for when in ("before", "after"):
        value = metadata.get(f"relative_error_{when}")
        if value is not None:
            yield Figure("cryptobot_drift_relative_error", float(value), {**named, "when": when})


def failures_in_a_row(ended: Sequence[InstigatorTick]) -> int:
    """Ticks that failed since the last that did not, of the newest ones, the newest first."""
    for count, tick in enumerate(ended):
        if tick.status != TickStatus.FAILURE:
            return count
    return len(ended)

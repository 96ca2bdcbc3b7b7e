"""What follows by itself: indicators as soon as their klines land, predictions as soon as their indicators do.

    klines --> indicators --> predictions

A sensor looks at what was recorded since its last look. That wakes it; what it asks for is decided by
what is older than its source by then: the spans that landed, later ones that read them (a day read
again changes the indicators of the 99 days after it), and recent ones that an earlier run left out.
Dagster's own eager condition would ask for today's span alone where yesterday's and today's landed.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from cryptobot_assets.assets.training import model_asset_name
from cryptobot_assets.automation.due import Link, read_by, recent_keys
from cryptobot_assets.automation.records import (
    ASSET_JOB,
    PROCESS_TAG,
    range_requests,
    sensor_status,
    stale_partitions,
)
from cryptobot_assets.automation.schedules import INDICATORS_OF_KLINES
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.partitions import Group, Partitions

PREDICTIONS_OF_INDICATORS = Link("indicators", "predictions", days_after=HORIZON.days)
PAGE_RECORDS = 1000
MOST_PAGES = 20
"""Read at one look; what a long backfill recorded beyond them is for the next."""


@dataclass(frozen=True)
class Landed:
    """What was recorded of an asset since a place in the event log.

    Attributes:
        keys: span keys to follow.
        place: where to go on from.
    """

    keys: frozenset[str]
    place: int


def following_sensors(partitions: Partitions) -> dg.Definitions:
    """The sensors that let each layer follow the one before it."""
    links = (INDICATORS_OF_KLINES, PREDICTIONS_OF_INDICATORS)
    return dg.Definitions(sensors=[_following_sensor(link, partitions) for link in links])


def _following_sensor(link: Link, partitions: Partitions) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{link.downstream}_sensor",
        job_name=ASSET_JOB,
        minimum_interval_seconds=partitions.settings.sensor_seconds,
        default_status=sensor_status(partitions.settings),
        description=(
            f"{link.downstream.capitalize()} as soon as {link.upstream} land: of the same spans, of those that read "
            "them, and of recent ones that are older than what they are made of."
        ),
    )
    def follow(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        instance = context.instance
        places: dict[str, int] = json.loads(context.cursor or "{}")
        asked: list[dg.RunRequest] = []
        for group in partitions.live(instance).groups:
            upstream = group.asset(link.upstream)
            landed = landings(instance, upstream, places.get(upstream))
            if landed is not None:
                places[upstream] = landed.place
                asked += _followers(instance, link, partitions, group, landed)
        context.update_cursor(json.dumps(places))
        return asked or dg.SkipReason(f"no {link.upstream} landed that {link.downstream} should follow")

    return follow


def _followers(
    instance: dg.DagsterInstance, link: Link, partitions: Partitions, group: Group, landed: Landed
) -> list[dg.RunRequest]:
    if not landed.keys or (link == PREDICTIONS_OF_INDICATORS and not any_model(instance)):
        return []
    keys = keys_to_look_at(link, partitions, landed.keys)
    due = stale_partitions(instance, link, partitions, group, keys)
    asset = group.asset(link.downstream)
    return range_requests(instance, partitions, group, asset, due, occasion=f"after {landed.place}")


def landings(instance: dg.DagsterInstance, asset: str, place: int | None) -> Landed | None:
    """Spans of an asset recorded since a place in the event log; None while a run is still recording.

    Without a place everything recorded so far counts as seen. Runs inside a command (`cryptobot demo`,
    `cryptobot backfill`) are left out: the command goes on to the next layer itself.
    """
    key = dg.AssetKey(asset)
    if place is None:
        newest = instance.fetch_materializations(key, limit=1).records
        return Landed(frozenset(), newest[0].storage_id if newest else 0)
    records = _records_since(instance, key, place)
    if not records:
        return Landed(frozenset(), place)
    runs = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=list({one.run_id for one in records})))}
    of_commands = {run_id for run_id, run in runs.items() if PROCESS_TAG in run.tags}
    last = runs.get(records[-1].run_id)
    if last is not None and not last.is_finished and last.run_id not in of_commands:
        return None
    keys = {one.partition_key.split("|")[1] for one in records if one.run_id not in of_commands and one.partition_key}
    return Landed(frozenset(keys), records[-1].storage_id)


def _records_since(instance: dg.DagsterInstance, key: dg.AssetKey, place: int) -> list[dg.EventLogRecord]:
    found: list[dg.EventLogRecord] = []
    for _ in range(MOST_PAGES):
        since = dg.AssetRecordsFilter(asset_key=key, after_storage_id=found[-1].storage_id if found else place)
        page = instance.fetch_materializations(since, limit=PAGE_RECORDS, ascending=True).records
        found += page
        if len(page) < PAGE_RECORDS:
            break
    return found


def keys_to_look_at(link: Link, partitions: Partitions, landed: frozenset[str]) -> list[str]:
    """Span keys of the downstream layer that may be due after these upstream spans landed."""
    now = datetime.now(UTC)
    today = partitions.span_keys(now.date(), now.date())[0]
    newest = partitions.span(max(landed))[0]
    return sorted({*read_by(link, partitions, landed, today), *recent_keys(partitions, newest)})


def any_model(instance: dg.DagsterInstance) -> bool:
    """Whether a model was ever trained here."""
    names = (model_asset_name(name) for name in ALGORITHMS)
    return any(instance.get_latest_materialization_event(dg.AssetKey(name)) is not None for name in names)

"""A Dagster instance as large as a full history, in minutes: one currency is run, the others are copies of it.

Dagster runs and records every day of one currency of `indicators`, through the deployment's own
storage. Its events, their tags and its run are then copied inside PostgreSQL to every other currency
and group, and to `klines`, with names and run ids exchanged: rows as they would be, at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg2
from dagster import AssetKey
from dagster._core.events.log import EventLogEntry
from dagster._serdes import deserialize_value
from dagster_postgres.event_log import PostgresEventLogStorage

from cryptobot_assets.deployment import Deployment
from cryptobot_assets.partitions import Group
from cryptobot_assets.storage.backup_rows import one_row

SOURCE = "indicators"
PREPARE = """
CREATE TEMPORARY TABLE source_events AS SELECT * FROM event_logs WHERE run_id = %(run)s;
CREATE TEMPORARY TABLE source_tags AS
  SELECT e.partition, t.key, t.value, t.event_timestamp
  FROM source_events e JOIN asset_event_tags t ON t.event_id = e.id;
ANALYZE source_events;
ANALYZE source_tags;
SET synchronous_commit = off;
"""
COPY = """
INSERT INTO runs (run_id, snapshot_id, pipeline_name, status, run_body, partition, partition_set,
                  create_timestamp, update_timestamp, start_time, end_time)
  SELECT %(new_run)s, snapshot_id, pipeline_name, status,
         replace(replace(replace(run_body, %(run)s, %(new_run)s), %(source)s, %(asset)s), %(currency)s, %(new)s),
         partition, partition_set, create_timestamp, update_timestamp, start_time, end_time
  FROM runs WHERE run_id = %(run)s;
INSERT INTO run_tags (run_id, key, value)
  SELECT %(new_run)s, key, replace(value, %(currency)s, %(new)s) FROM run_tags WHERE run_id = %(run)s;
WITH made AS (
  INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    SELECT %(new_run)s,
           replace(replace(replace(event, %(run)s, %(new_run)s), %(source)s, %(asset)s), %(currency)s, %(new)s),
           dagster_event_type, timestamp, replace(step_key, %(source)s, %(asset)s),
           replace(asset_key, %(source)s, %(asset)s), replace(partition, %(currency)s, %(new)s)
    FROM source_events ORDER BY id
  RETURNING id, dagster_event_type, asset_key, partition
)
INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)
  SELECT made.id, made.asset_key, t.key, replace(t.value, %(currency)s, %(new)s), t.event_timestamp
  FROM made JOIN source_tags t ON replace(t.partition, %(currency)s, %(new)s) = made.partition
  WHERE made.dagster_event_type = 'ASSET_MATERIALIZATION';
"""
NEWEST = """
SELECT id, event FROM event_logs WHERE asset_key = %s AND dagster_event_type = 'ASSET_MATERIALIZATION'
ORDER BY id DESC LIMIT 1
"""


def seed(deployment: Deployment, layers: list[str]) -> float:
    """Fill an empty instance with every partition of these layers; returns the seconds of the one real run."""
    group, currency = deployment.partitions.groups[0], deployment.partitions.currencies[0]
    keys = deployment.partitions.span_keys(deployment.settings.start_day, datetime.now(UTC).date())
    began = time.monotonic()
    deployment.materialize([SOURCE], key_range=(f"{currency}|{keys[0]}", f"{currency}|{keys[-1]}"))
    seconds = time.monotonic() - began
    run = deployment.instance.get_runs(limit=1)[0].run_id
    storage = deployment.instance.event_log_storage
    assert isinstance(storage, PostgresEventLogStorage)
    connection = psycopg2.connect(storage.postgres_url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(PREPARE, {"run": run})
        for target, name in targets(deployment, layers):
            if (target, name) != (group.asset(SOURCE), currency):
                new_run = str(uuid.uuid4())
                names = {"source": SOURCE, "asset": target, "currency": currency, "new": name}
                cursor.execute(COPY, {"run": run, "new_run": new_run, **names})
        cursor.execute("ANALYZE")
        for asset in dict.fromkeys(asset for asset, _ in targets(deployment, layers)):
            cursor.execute(NEWEST, (AssetKey(asset).to_string(),))
            number, event = one_row(cursor)
            storage.store_asset_event(deserialize_value(event, EventLogEntry), number)
    connection.close()
    return seconds


def targets(deployment: Deployment, layers: list[str]) -> Iterator[tuple[str, str]]:
    """Asset and currency of each run that a full history has."""
    groups: tuple[Group, ...] = deployment.partitions.groups
    for group in groups:
        for layer in layers:
            for currency in group.currencies:
                yield group.asset(layer), currency

"""Dagster's event log on PostgreSQL, for runs over thousands of partitions.

A run over N partitions plans N and records N events of an asset. Dagster hands both over in batches
(`DAGSTER_EVENT_BATCH_SIZE`), but its storage writes those planned one by one, three statements each.
Here a batch is one transaction of a few statements, whatever it holds: all of it or nothing.

Dagster's pages keep the partitions' status up to the highest event id they have seen. So events of
one asset must become visible in the order of their ids; else a batch that commits after a later one
was read would never show. Whoever writes events of an asset waits for the one before.

`dagster.yaml` names this class; tables and all that reads them are Dagster's own, so that an instance
may go back to `PostgresEventLogStorage` at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from dagster import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

IN_BULK = frozenset(
    {
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
    }
)
LOCK = sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtextextended(:asset_key, 0))")
INSERT = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)


class BulkEventLogStorage(PostgresEventLogStorage):
    """Dagster's event log storage; events of assets are written in bulk and in order.

    Configured like `PostgresEventLogStorage`.
    """

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BulkEventLogStorage:
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event."""
        if is_of_an_asset(event):
            self._store_in_bulk([event])
        else:
            super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store many events: those of assets all together, the others one by one as Dagster does."""
        ours = [event for event in events if is_of_an_asset(event)]
        if len(ours) < len(events):
            super().store_event_batch([event for event in events if not is_of_an_asset(event)])
        if ours:
            self._store_in_bulk(ours)

    def _store_in_bulk(self, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        newest = {(row["asset_key"], row["dagster_event_type"]): position for position, row in enumerate(rows)}
        with self.index_transaction() as connection:
            # In one order, so that two batches of several assets cannot wait for each other.
            for asset_key in sorted({row["asset_key"] for row in rows}):
                connection.execute(LOCK, {"asset_key": asset_key})
            ids = [int(row[0]) for row in connection.execute(INSERT, rows)]
            self._store_asset_event_tags(connection, events, ids)
            for position in sorted(newest.values()):
                self._store_asset_event(connection, events[position], ids[position])


def is_of_an_asset(event: EventLogEntry) -> bool:
    """Whether it tells that an asset is planned, was materialized or observed."""
    return event.is_dagster_event and event.dagster_event_type in IN_BULK

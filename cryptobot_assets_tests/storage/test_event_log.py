"""Events in bulk leave the tables as Dagster's own storage would, whole batches or nothing, in order of their ids."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster_postgres.event_log import PostgresEventLogStorage

from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.event_log import LOCK, BulkEventLogStorage
from cryptobot_assets_tests.storage.postgres_server import make_database, run

pytestmark = [pytest.mark.platform, pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")]

JOB, RUN, AT = "__ASSET_JOB", "7ae1", 1_700_000_000.0
KEYS = [f"BTCUSDT|2025-01-{day:02}" for day in range(1, 6)]
TABLES = {
    "event_logs": "id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition",
    "asset_event_tags": "event_id, asset_key, key, value, event_timestamp",
    "asset_keys": "asset_key, last_materialization, last_run_id, wipe_timestamp, last_materialization_timestamp, tags",
    "asset_check_executions": "asset_key, check_name, partition, run_id, execution_status",
}
Make = Callable[[type[PostgresEventLogStorage]], PostgresEventLogStorage]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("home") / "postgres") as running:
        yield running


@pytest.fixture
def make(server: EmbeddedPostgres) -> Make:
    """A storage on a database of its own."""
    return lambda cls: cls(make_database(server).replace("postgresql://", "postgresql+psycopg2://"))


def entry(event: DagsterEvent, number: int = 0, run_id: str = RUN) -> EventLogEntry:
    return EventLogEntry(
        user_message="",
        level=logging.DEBUG,
        job_name=JOB,
        run_id=run_id,
        error_info=None,
        timestamp=AT + number,
        step_key=event.step_key,
        dagster_event=event,
    )


def planned(asset: str, partition: str, number: int = 0) -> EventLogEntry:
    data = AssetMaterializationPlannedData(dg.AssetKey(asset), partition=partition)
    return entry(DagsterEvent.build_asset_materialization_planned_event(JOB, asset, data), number)


def materialized(asset: str, partition: str, number: int = 0, run_id: str = RUN) -> EventLogEntry:
    currency, day = partition.split("|")
    tags = {"dagster/partition/currency": currency, "dagster/partition/day": day, "dagster/data_version": f"v{day}"}
    told = dg.AssetMaterialization(asset, partition=partition, metadata={"rows": number}, tags=tags)
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION.value
    return entry(
        DagsterEvent(kind, JOB, step_key=asset, event_specific_data=StepMaterializationData(told)), number, run_id
    )


def observed(asset: str, partition: str, number: int = 0) -> EventLogEntry:
    told = dg.AssetObservation(asset, partition=partition, tags={"dagster/data_version": "o"})
    kind = dg.DagsterEventType.ASSET_OBSERVATION.value
    return entry(DagsterEvent(kind, JOB, step_key=asset, event_specific_data=AssetObservationData(told)), number)


def check_planned(asset: str) -> EventLogEntry:
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value
    data = AssetCheckEvaluationPlanned(asset_key=dg.AssetKey(asset), check_name="whole", partitions_subset=None)
    return entry(DagsterEvent(kind, JOB, step_key=asset, event_specific_data=data))


def content(storage: PostgresEventLogStorage) -> dict[str, list[tuple]]:
    url = storage.postgres_url.replace("+psycopg2", "")
    return {table: run(url, f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3") for table, columns in TABLES.items()}


def batches() -> list[Sequence[EventLogEntry]]:
    """What a run over two assets hands over: planned, then materialized and observed, more than one asset in each."""
    return [
        [planned(asset, key, number) for asset in ("indicators", "klines") for number, key in enumerate(KEYS)],
        [
            materialized(asset, key, 10 + number)
            for asset in ("klines", "indicators")
            for number, key in enumerate(KEYS)
        ],
        [observed("klines", KEYS[0], 30), materialized("klines", KEYS[1], 31), planned("klines", KEYS[2], 32)],
    ]


def test_a_batch_leaves_what_dagster_leaves_event_by_event(make: Make) -> None:
    theirs, ours, one_by_one = make(PostgresEventLogStorage), make(BulkEventLogStorage), make(BulkEventLogStorage)
    for batch in [*batches(), [check_planned("klines")]]:
        ours.store_event_batch(batch)
        for event in batch:
            theirs.store_event(event)
            one_by_one.store_event(event)
    expected = content(theirs)
    assert all(expected.values())
    assert content(ours) == expected
    assert content(one_by_one) == expected


def test_events_beside_those_of_assets_are_stored_too(make: Make) -> None:
    storage = make(BulkEventLogStorage)
    storage.store_event_batch([planned("klines", KEYS[0]), check_planned("klines")])
    storage.store_event(entry(DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB)))
    kinds = [row[3] for row in content(storage)["event_logs"]]
    assert sorted(kinds) == ["ASSET_CHECK_EVALUATION_PLANNED", "ASSET_MATERIALIZATION_PLANNED", "PIPELINE_START"]


def test_a_batch_that_fails_leaves_nothing(make: Make) -> None:
    storage = make(BulkEventLogStorage)
    url = storage.postgres_url.replace("+psycopg2", "")
    run(url, "ALTER TABLE asset_event_tags ADD CHECK (value <> '2025-01-03')")
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        storage.store_event_batch([materialized("klines", key) for key in KEYS])
    assert not any(content(storage).values())


def test_events_of_an_asset_become_visible_in_the_order_of_their_ids(make: Make) -> None:
    storage = make(BulkEventLogStorage)
    late = threading.Thread(target=storage.store_event, args=(materialized("klines", KEYS[0], run_id="late"),))
    with storage.index_transaction() as held:
        held.execute(LOCK, {"asset_key": dg.AssetKey("klines").to_string()})
        late.start()
        storage.store_event_batch([materialized("indicators", KEYS[0])])  # another asset's do not wait
        late.join(0.5)
        assert late.is_alive()
        assert [row[6] for row in content(storage)["event_logs"]] == ['["indicators"]']
    late.join(30)
    assert [row[1] for row in content(storage)["event_logs"]] == [RUN, "late"]


def test_dagster_yaml_names_it(make: Make, tmp_path: Path) -> None:
    url = make(BulkEventLogStorage).postgres_url
    (tmp_path / "dagster.yaml").write_text(
        "event_log_storage:\n"
        "  module: cryptobot_assets.storage.event_log\n"
        "  class: BulkEventLogStorage\n"
        f"  config: {{postgres_url: '{url}', should_autocreate_tables: false}}\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        again = dg.DagsterInstance.from_ref(instance.get_ref())
        with again:
            for one in (instance, again):
                assert type(one.event_log_storage) is BulkEventLogStorage
                assert one.event_log_storage.postgres_url == url
                assert not one.event_log_storage.should_autocreate_tables

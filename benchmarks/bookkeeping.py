"""How fast Dagster records the partitions of ranged runs, by storage and way of writing.

    python benchmarks/bookkeeping.py [--partitions 1000] [--a-run 1000] [--repeat 3] [--json result.json]

Runs of an asset that does nothing but tell the rows of each partition; the best of several rounds in
which the ways take turns, each on an instance of its own. All that a run costs is in the figures:
creating it, planning N partitions, running, recording N materializations.

- sqlite, postgres: Dagster's storages as they come;
- postgres, batches: with `DAGSTER_EVENT_BATCH_SIZE`; and with connections held open beside;
- ours: `BulkEventLogStorage`; as in a run that Dagster launches, and as in `cryptobot backfill`;
- runless: materializations without any run, handed to our storage in batches.

CPU is that of this process and of the embedded PostgreSQL server, per partition.
"""

import argparse
import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry

from cryptobot_assets.assets.partition_metadata import add_partition_metadata
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets_tests.storage.postgres_server import make_database

BATCH = 1000
FIRST_DAY = date(2017, 8, 17)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
POSTGRES = "storage: {{postgres: {{postgres_url: '{url}'}}}}\n"
OURS = """\
run_storage: {{module: dagster_postgres.run_storage, class: PostgresRunStorage, config: {{postgres_url: '{url}'}}}}
schedule_storage:
  {{module: dagster_postgres.schedule_storage, class: PostgresScheduleStorage, config: {{postgres_url: '{url}'}}}}
event_log_storage:
  {{module: cryptobot_assets.storage.event_log, class: BulkEventLogStorage, config: {{postgres_url: '{url}'}}}}
"""


@dataclass(frozen=True)
class Way:
    """Storage, batch size of events, and whether connections are held open."""

    yaml: str
    batch: int = 0
    held: bool = False


WAYS = {
    "sqlite": Way(""),
    "postgres": Way(POSTGRES),
    "postgres, batches": Way(POSTGRES, BATCH),
    "postgres, batches, held": Way(POSTGRES, BATCH, held=True),
    "ours": Way(OURS, BATCH),
    "ours, held": Way(OURS, BATCH, held=True),
}
RUNLESS = "ours, held, runless"


@dataclass(frozen=True)
class Cost:
    """Seconds of one round: by the clock, of this process's CPU and of the server's."""

    wall: float
    cpu: float
    server_cpu: float


def days(count: int) -> list[str]:
    """Keys of so many days."""
    return [(FIRST_DAY + timedelta(days=number)).isoformat() for number in range(count)]


def make_asset(count: int) -> dg.AssetsDefinition:
    """An asset of one currency and so many days that tells each day's rows."""
    spans = dg.DailyPartitionsDefinition(FIRST_DAY.isoformat(), end_date=days(count + 1)[-1])
    currencies = dg.StaticPartitionsDefinition(["BTCUSDT"])

    @dg.asset(
        partitions_def=dg.MultiPartitionsDefinition({"currency": currencies, "day": spans}),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version="1",
    )
    def klines(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        figures = {"dagster/row_count": 1440, "rows_from_archives": 1440, "missing_klines": 0}
        add_partition_metadata(context, dict.fromkeys(context.partition_keys, figures))
        return dg.MaterializeResult(metadata={"source": "benchmark"})

    return klines


@contextmanager
def open_instance(way: Way, server: EmbeddedPostgres) -> Iterator[dg.DagsterInstance]:
    """A fresh instance."""
    with tempfile.TemporaryDirectory() as home:
        url = make_database(server).replace("postgresql://", "postgresql+psycopg2://") if way.yaml else ""
        (Path(home) / "dagster.yaml").write_text(way.yaml.format(url=url) + "telemetry: {enabled: false}\n")
        os.environ["DAGSTER_EVENT_BATCH_SIZE"] = str(way.batch)
        with dg.DagsterInstance.from_config(home) as instance:
            if way.held:
                instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=8)
            yield instance


def record_by_runs(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, count: int, a_run: int) -> None:
    """Materialize so many days, `a_run` of them at a time."""
    keys = days(count)
    for start in range(0, count, a_run):
        ends = keys[start], keys[min(start + a_run, count) - 1]
        tags = {
            f"dagster/asset_partition_range_{name}": f"BTCUSDT|{key}"
            for name, key in zip(("start", "end"), ends, strict=True)
        }
        assert dg.materialize([asset], instance=instance, tags=tags, run_config=QUIET).success


def record_runless(instance: dg.DagsterInstance, count: int) -> None:
    """Store a materialization of each of so many days."""
    for start in range(0, count, BATCH):
        instance.event_log_storage.store_event_batch([materialized(day) for day in days(count)[start : start + BATCH]])


def materialized(day: str) -> EventLogEntry:
    """A materialization as `report_runless_asset_event` makes it."""
    tags = {"dagster/partition/currency": "BTCUSDT", "dagster/partition/day": day}
    told = dg.AssetMaterialization(
        "klines", partition=f"BTCUSDT|{day}", metadata={"dagster/row_count": 1440}, tags=tags
    )
    event = DagsterEvent(
        dg.DagsterEventType.ASSET_MATERIALIZATION.value, "", event_specific_data=StepMaterializationData(told)
    )
    return EventLogEntry(
        user_message="", level=logging.INFO, job_name="", run_id="", error_info=None, timestamp=time.time(),
        dagster_event=event,
    )  # fmt: skip


def server_cpu(server: EmbeddedPostgres) -> float:
    """CPU seconds of the server and of all that served its connections."""
    postmaster = psutil.Process(int(server.layout.postmaster_lines()[0]))
    alive = []
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile: the postmaster has its seconds
            alive.append(child.cpu_times())
    own = postmaster.cpu_times()
    return sum(times.user + times.system for times in (own, *alive)) + own.children_user + own.children_system


def cost_of(work: Callable[[], None], server: EmbeddedPostgres) -> Cost:
    """What it takes."""
    began = time.perf_counter(), time.process_time(), server_cpu(server)
    work()
    ended = time.perf_counter(), time.process_time(), server_cpu(server)
    return Cost(*(end - begin for begin, end in zip(began, ended, strict=True)))


def measure(server: EmbeddedPostgres, count: int, a_run: int, repeat: int, ways: list[str]) -> dict[str, Cost]:
    """The round of least time of each way."""
    asset = make_asset(count)
    best: dict[str, Cost] = {}
    for _ in range(repeat):
        for name in ways:
            with open_instance(WAYS["ours, held" if name == RUNLESS else name], server) as instance:
                record_by_runs(instance, asset, 1, 1)  # tables, imports, compiled statements
                if name == RUNLESS:
                    cost = cost_of(lambda: record_runless(instance, count), server)
                else:
                    cost = cost_of(lambda: record_by_runs(instance, asset, count, a_run), server)
                keys = instance.get_materialized_partitions(dg.AssetKey("klines"))
                assert len(keys) == count, f"{name}: {len(keys)} of {count}"
            best[name] = min(best.get(name, cost), cost, key=lambda one: one.wall)
            print(f"  {name:26} {count / cost.wall:8.1f} a second", flush=True)
    return best


def main() -> None:
    """Measure, and print a table; with `--json` write the figures as well."""
    names = [*WAYS, RUNLESS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=1000, help="partitions of a round (default 1000)")
    parser.add_argument("--a-run", type=int, default=1000, help="partitions of one run (default 1000)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, of which the best counts (default 3)")
    parser.add_argument("--ways", nargs="+", choices=names, default=names, metavar="WAY", help=f"of {names}")
    parser.add_argument("--json", type=Path, help="write the figures there")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        best = measure(server, chosen.partitions, chosen.a_run, chosen.repeat, chosen.ways)
    print(f"{chosen.partitions} partitions, {chosen.a_run} a run; load {os.getloadavg()[0]:.1f}")
    print(f"{'':26} {'a second':>9} {'CPU ms each':>12} {'server CPU ms each':>19}")
    for name, cost in best.items():
        cpus = [1000 * seconds / chosen.partitions for seconds in (cost.cpu, cost.server_cpu)]
        print(f"{name:26} {chosen.partitions / cost.wall:9.1f} {cpus[0]:12.2f} {cpus[1]:19.2f}")
    if chosen.json:
        figures = {name: asdict(cost) for name, cost in best.items()}
        chosen.json.write_text(json.dumps({"partitions": chosen.partitions, "seconds": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()

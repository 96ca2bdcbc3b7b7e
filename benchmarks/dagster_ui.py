"""What Dagster's pages and a backfill cost on an instance that holds a full history.

    python benchmarks/dagster_ui.py [--currencies 200] [--days 3384] [--all] [--json result.json]

Two layers (klines, indicators) of so many currencies and days, in the groups of the package, on the
embedded PostgreSQL, with the webserver and the daemon as `cryptobot up` starts them. The queries are
those of the installed webserver's own pages. Each is asked cold (nobody has asked before), warm, and
after one more partition was recorded. No run is started: those of a backfill stay in the queue.
With `--all` the same currencies are dynamic partitions, as where the universe is `all`.

Wall is what a person waits; CPU is that of the webserver with its code server, and of PostgreSQL;
memory is the peak of the process. Needs some 10 GB of disk at full size.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import requests
from dagster._core.storage.dagster_run import RunsFilter

from benchmarks.bookkeeping import server_cpu
from benchmarks.dagster_seeding import seed
from benchmarks.dagster_ui_queries import ui_query
from cryptobot_assets.dagster_home import DAGSTER_YAML, OURS
from cryptobot_assets.deployment import Deployment, open_deployment
from cryptobot_assets.domain.intervals import day_start
from cryptobot_assets.domain.universe import Listing
from cryptobot_assets.processes import Child, Supervisor, free_port
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.listings import write_listings
from cryptobot_assets.storage.store import open_store

LAYERS = ["klines", "indicators"]
MODULE = ["-m", "cryptobot_assets.definitions"]
LAUNCH_SECONDS = 900
NOBODY = "http://127.0.0.1:9"
"""No exchange is asked."""
START_TAG, END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class Figure:
    """Cost of one thing asked."""

    what: str
    when: str
    wall: float
    cpu: float
    postgres_cpu: float


@dataclass
class Bench:
    """The instance under measurement, and what was found so far."""

    deployment: Deployment
    server: EmbeddedPostgres
    url: str
    processes: dict[str, Child]
    figures: list[Figure] = field(default_factory=list)

    def ask(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The webserver's answer."""
        asked: dict[str, Any] = {"operationName": operation, "query": ui_query(operation), "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=asked, timeout=LAUNCH_SECONDS).json()
        if "errors" in answer:
            raise RuntimeError(f"{operation}: {answer['errors'][0]['message']}")
        data: dict[str, Any] = answer["data"]
        return data

    def measure(self, what: str, when: str, process: str, work: Callable[[], Any]) -> Any:
        """Do it and keep what it cost."""
        tree, began = self.processes[process].guard.pid, time.perf_counter()
        before = cpu_of(tree), server_cpu(self.server)
        result = work()
        wall = time.perf_counter() - began
        self.figures.append(Figure(what, when, wall, cpu_of(tree) - before[0], server_cpu(self.server) - before[1]))
        print(f"  {what:44} {when:22} {wall:8.2f} s", flush=True)
        return result


def key_input(asset: str) -> dict[str, list[str]]:
    """An asset key as queries take it."""
    return {"path": [asset]}


def cpu_of(root: int) -> float:
    """CPU seconds of a process and of all below it, ended ones too."""
    process = psutil.Process(root)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system + one.children_user + one.children_system for one in times)


def peaks(bench: Bench) -> dict[str, float]:
    """Peak memory in MB of each program and of what it started."""
    found = {}
    for name, child in bench.processes.items():
        for number, process in enumerate(psutil.Process(child.guard.pid).children(recursive=True)):
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
            if peak > 50:
                found[f"{name} {'' if number == 0 else 'child '}{process.pid}"] = peak
    return found


def ask_pages(bench: Bench, when: str, *, page: str, partition: str) -> None:
    """Ask what the pages of one asset and the asset graph ask, in the order of a person who looks for a gap."""
    every = [key_input(node.key.to_user_string()) for node in all_assets(bench.deployment)]
    one = {"assetKey": key_input(page)}
    asked: list[tuple[str, list[tuple[str, dict[str, Any]]]]] = [
        ("all pages: the workspace", [("LocationWorkspaceAssetsQuery", {"name": MODULE[1]})]),
        ("partition page", [("AssetViewDefinitionQuery", one), ("PartitionHealthQuery", one)]),
        ("partition page: one partition", [("AssetPartitionDetailQuery", {**one, "partitionKey": partition})]),
        ("dialog of a launch", [("LaunchAssetLoaderQuery", {"assetKeys": [key_input(page)]})]),
        ("asset graph: status", [("AssetGraphLiveQuery", {"assetKeys": every})]),
        ("asset graph: health", [("AssetHealthQuery", {"assetKeys": every})]),
        ("asset graph: stale or not", [("AssetStaleStatusQuery", {"assetKeys": every})]),
    ]
    for what, queries in asked:
        bench.measure(what, when, "webserver", lambda: [bench.ask(*query) for query in queries])  # noqa: B023 called before the next turn


def all_assets(deployment: Deployment) -> list[Any]:
    """Nodes of the asset graph."""
    return list(deployment.definitions.resolve_asset_graph().asset_nodes)


def launch_backfill(bench: Bench, asset: str, currencies: tuple[str, ...], days: list[str]) -> list[str]:
    """Launch as the page does, wait until the daemon has queued every run; the runs' ranges."""
    names = [f"{currency}|{day}" for currency in currencies for day in days]
    size = f"{len(currencies)} currencies x {len(days)} days"
    params = {"assetSelection": [key_input(asset)], "partitionNames": names, "fromFailure": False, "tags": []}
    answer = bench.measure(
        "launch of a backfill",
        size,
        "webserver",
        lambda: bench.ask("LaunchPartitionBackfill", {"backfillParams": params})["launchPartitionBackfill"],
    )
    backfill, instance = answer["backfillId"], bench.deployment.instance

    def queued() -> list[Any]:
        deadline = time.monotonic() + LAUNCH_SECONDS
        while time.monotonic() < deadline:
            runs = instance.get_runs(RunsFilter(tags={"dagster/backfill": backfill}))
            if len(runs) == min(len(currencies), len(days)):
                return list(runs)
            time.sleep(1)
        raise TimeoutError(f"{len(runs)} runs of the backfill")

    runs = bench.measure("its runs in the queue", size, "daemon", queued)
    return sorted(f"{run.tags[START_TAG]} to {run.tags[END_TAG]}" for run in runs)


@contextmanager
def services(deployment: Deployment, server: EmbeddedPostgres, logs: Path) -> Iterator[Bench]:
    """The webserver and the daemon, as `cryptobot up` starts them."""
    port, python = free_port(), [sys.executable, "-m"]
    url = f"http://127.0.0.1:{port}"
    web = [*python, "dagster_webserver", *MODULE, "--host", "127.0.0.1", "--port", str(port)]
    with Supervisor() as programs:
        processes = {
            "webserver": programs.start(
                "webserver", web, log_path=logs / "web.log", ready=f"{url}/server_info", timeout_seconds=300
            ),
            "daemon": programs.start("daemon", [*python, "dagster._daemon", "run", *MODULE], log_path=logs / "d.log"),
        }
        yield Bench(deployment, server, url, processes)


def listing(name: str, position: int, start: date) -> Listing:
    """A coin that trades since the first day."""
    base = name.removesuffix("USDT")
    return Listing(
        currency=name, time=day_start(start), end=None, base=base, quote="USDT", kind="coin", position=position
    )


def run(chosen: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Seed, measure and return every figure."""
    names = [f"C{number:03}USDT" for number in range(chosen.currencies)]
    start = datetime.now(UTC).date() - timedelta(days=chosen.days - 1)
    os.environ |= {
        "CRYPTOBOT_CURRENCIES": "all" if chosen.all else ",".join(names),
        "CRYPTOBOT_START_DAY": start.isoformat(),
        "CRYPTOBOT_EXCHANGE_URL": NOBODY,
    }
    (home / "dagster").mkdir()
    queue_only = DAGSTER_YAML.replace("max_concurrent_runs: 2", "max_concurrent_runs: 0").replace(OURS, "# benchmark")
    (home / "dagster" / "dagster.yaml").write_text(queue_only)
    settings = Settings.load(home=home)
    if chosen.all:
        write_listings(open_store(settings), [listing(name, place, start) for place, name in enumerate(names)])
    server = EmbeddedPostgres(home / "postgres")
    with open_deployment(settings) as opened:
        deployment = opened.reopened()
        began = time.monotonic()
        seconds = seed(deployment, LAYERS)
        print(f"one real run of {chosen.days} partitions: {chosen.days / seconds:.0f} a second", flush=True)
        print(f"{len(names) * chosen.days * len(LAYERS):,} partitions seeded in {time.monotonic() - began:.0f} s")
        group = [one for one in deployment.partitions.groups if one.currencies][-1]
        days = deployment.partitions.span_keys(start, datetime.now(UTC).date())
        page, partition = group.asset("indicators"), f"{group.currencies[0]}|{days[-2]}"
        with services(deployment, server, home / "logs") as bench:
            for when in ("cold", "warm"):
                ask_pages(bench, when, page=page, partition=partition)
            deployment.materialize([page], key=partition)
            ask_pages(bench, "after one more run", page=page, partition=partition)
            currencies, middle = group.currencies, len(days) // 2
            ranges = {
                count: launch_backfill(bench, page, currencies, days[middle : middle + count])
                for count in (min(1000, middle), len(currencies) // 2 or 1)
            }
            memory = peaks(bench)
    return {
        "currencies": len(names),
        "days": chosen.days,
        "dynamic": chosen.all,
        "partitions_a_second_of_one_run": chosen.days / seconds,
        "figures": [asdict(figure) for figure in bench.figures],
        "peak_mb": memory,
        "ranges": ranges,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure, and print a table; with `--json` write the figures as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--currencies", type=int, default=200, help="currencies (default 200)")
    parser.add_argument("--days", type=int, default=3384, help="days of each (default 3384)")
    parser.add_argument("--all", action="store_true", help="the currencies as dynamic partitions")
    parser.add_argument("--json", type=Path, help="write the figures there")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        found = run(chosen, Path(stack.enter_context(tempfile.TemporaryDirectory())))
    print(f"\n{found['currencies']} currencies x {found['days']} days x {LAYERS}; load {found['load']:.1f}")
    print(f"{'':44} {'':24} {'wall s':>8} {'CPU s':>8} {'PostgreSQL s':>13}")
    for one in found["figures"]:
        print(f"{one['what']:44} {one['when']:24} {one['wall']:8.2f} {one['cpu']:8.2f} {one['postgres_cpu']:13.2f}")
    for name, peak in found["peak_mb"].items():
        print(f"peak of {name:36} {peak:8.0f} MB")
    for count, ranges in found["ranges"].items():
        print(f"a backfill of {count} days is {len(ranges)} runs: {ranges[0]}, ...")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""How long `cryptobot backfill` takes and how much memory: archives on loopback to indicators stored.

    python benchmarks/backfill.py [--currencies 1] [--days 365] [--interval 1m] [--start 2024-03-01]
        [--archives DIR] [--home DIR] [--json result.json]

A simulated market is served by the package's own exchange, in a process of its own on this machine;
its archives are made beforehand (`--archives` keeps them for the next time). Then the command runs
as users run it, on a fresh home, and what it stored is held against the market, row counts of every
currency. The last line is the result as JSON:

- seconds: from the command's start to its end, imports and the embedded PostgreSQL included; `stages`
  as the command itself tells them;
- cpu_seconds: processor time of the command, of its PostgreSQL and of the exchange beside them;
- peak memory in MB: of the command's own process (the kernel's high-water mark), and of everything
  it started, the PostgreSQL included: `tree_rss` counts shared pages once a process, `tree_pss` once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from cryptobot_assets.domain.intervals import DAY, day_start
from cryptobot_assets.domain.sources import plan_sources
from cryptobot_assets.exchange.archives import Archives
from cryptobot_assets.exchange.market import Market, from_ms, to_ms
from cryptobot_assets.exchange.server import serve
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.storage.archive import archive_path
from cryptobot_assets.storage.store import open_store_at

SEED = 7
DAYS_AFTER = 10
"""Until the archive of the last month is due."""

SAMPLE_SECONDS = 0.2
STAGE = re.compile(r"^  (?P<name>[^.:]+): .* in (?P<seconds>[\d.]+) s$", re.MULTILINE)
OURS = ("CRYPTOBOT_", "MLFLOW_", "DAGSTER_")


@dataclass(frozen=True)
class Plan:
    """What is backfilled: the first `days` days of a market."""

    currencies: int
    days: int
    interval: str
    first: date

    @property
    def span(self) -> tuple[datetime, datetime]:
        """[start, end) of the days."""
        return day_start(self.first), day_start(self.first) + self.days * DAY

    @property
    def name(self) -> str:
        return f"{self.currencies}x{self.days}-{self.interval}-{self.first}"


@dataclass(frozen=True)
class Result:
    """One run; memory in MB."""

    currencies: int
    days: int
    interval: str
    klines: int
    indicators: int
    seconds: float
    klines_per_second: float
    stages: dict[str, float]
    cpu_seconds: dict[str, float]
    peak_mb: dict[str, float]
    lake_mb: float
    lake_files: int


def serve_market(plan: Plan, folder: Path, answer: Connection) -> None:
    """Make the archives that the plan reads, tell the currencies' row counts, and serve."""
    market = simulate(
        SEED, plan.currencies, days=plan.days + DAYS_AFTER, interval=plan.interval, start=day_start(plan.first)
    )
    made = make_archives(market, plan, folder)
    start, end = map(to_ms, plan.span)
    counts = {name: len(market.series(name).between(start, end)) for name in market.currencies}
    answer.send((counts, made))
    serve(market, port=answer.recv(), archive_folder=folder)


def make_archives(market: Market, plan: Plan, folder: Path) -> int:
    """Files of every currency as `plan_sources` would read them; how many there are."""
    archives = Archives(market, folder=folder)
    now = from_ms(market.end_ms)
    made = 0
    for currency in market.currencies:
        for source in plan_sources(*plan.span, plan.interval, now=now):
            if source.kind != "rest":
                name = archive_path(currency, plan.interval, source).rpartition("/")[2]
                zipped = archives.archive(source.kind, currency, plan.interval, name, now_ms=market.end_ms)
                made += zipped is not None
    return made


@contextmanager
def served(plan: Plan, folder: Path) -> Iterator[tuple[str, psutil.Process, dict[str, int]]]:
    """The exchange's address, its process and the klines it has of each currency."""
    folder.mkdir(parents=True, exist_ok=True)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_market, args=(plan, folder, there))
    process.start()
    try:
        counts, made = here.recv()
        print(f"{made} archives of {sum(counts.values()):,} klines", flush=True)
        port = free_port()
        here.send(port)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid), counts
    finally:
        process.terminate()
        process.join()


def free_port() -> int:
    from cryptobot_assets.processes import free_port as chosen

    return chosen()


class Watch:
    """Memory and processor time of a command, of all it started and of a home's PostgreSQL, sampled."""

    def __init__(self, pid: int, home: Path) -> None:
        self.peak_mb = {"command": 0.0, "tree_rss": 0.0, "tree_pss": 0.0}
        self._spent: dict[tuple[bool, int, float], float] = {}
        self._root = psutil.Process(pid)
        self._home = str(home)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """Processor seconds of the command with its children, and of the PostgreSQL."""
        self._ended.set()
        self._thread.join()
        kinds = {"command": True, "postgres": False}
        return {
            name: round(sum(spent for key, spent in self._spent.items() if key[0] is ours), 1)
            for name, ours in kinds.items()
        }

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            rss = pss = 0
            for ours, one in self._members():
                with suppress(psutil.Error):
                    memory, times = one.memory_full_info(), one.cpu_times()
                    self._spent[ours, one.pid, one.create_time()] = times.user + times.system
                    rss += memory.rss
                    pss += memory.pss
            self._keep("tree_rss", rss / 2**20)
            self._keep("tree_pss", pss / 2**20)
            with suppress(OSError, IndexError):
                status = Path(f"/proc/{self._root.pid}/status").read_text()
                self._keep("command", int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024)

    def _keep(self, name: str, megabytes: float) -> None:
        self.peak_mb[name] = max(self.peak_mb[name], round(megabytes, 1))

    def _members(self) -> Iterator[tuple[bool, psutil.Process]]:
        """Whether it is the command's own, and the process; PostgreSQL's guard is known by the home it keeps."""
        for one in psutil.process_iter():
            with suppress(psutil.Error):
                command = one.cmdline()
                if one.pid == self._root.pid:
                    yield from ((True, member) for member in (one, *one.children(recursive=True)))
                elif any("postgres_guard" in part for part in command) and command[-1].startswith(self._home):
                    yield from ((False, member) for member in (one, *one.children(recursive=True)))


def measure(plan: Plan, home: Path, archives: Path) -> Result:
    """Run the command once on a fresh home; raises when it fails or stores other rows than the market has."""
    with served(plan, archives) as (url, server, counts):
        days = ("--from", str(plan.first), "--to", str(plan.first + timedelta(days=plan.days - 1)))
        command = ("backfill", "--currencies", ",".join(counts), *days)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        settings = {"HOME": str(home), "EXCHANGE_URL": url, "ARCHIVE_URL": url, "INTERVAL": plan.interval}
        before, began = server.cpu_times(), time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "cryptobot_assets.cli.main", *command],
            env={**clean, **{f"CRYPTOBOT_{name}": value for name, value in settings.items()}},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        watch = Watch(process.pid, home)
        said = []
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{time.monotonic() - began:6.1f} {line}", end="", flush=True)
            said.append(line)
        if process.wait():
            raise SystemExit(f"cryptobot backfill ended with {process.returncode}")
        seconds = time.monotonic() - began
        spent, after = watch.stop(), server.cpu_times()
    spent["exchange"] = round(after.user + after.system - before.user - before.system, 1)
    klines, indicators = (stored(home, name, counts) for name in ("klines", "indicators"))
    files = [path for path in (home / "lake").rglob("*.parquet") if "_delta_log" not in path.parts]
    return Result(
        currencies=plan.currencies,
        days=plan.days,
        interval=plan.interval,
        klines=klines,
        indicators=indicators,
        seconds=round(seconds, 2),
        klines_per_second=round(klines / seconds),
        stages={found["name"]: float(found["seconds"]) for found in STAGE.finditer("".join(said))},
        cpu_seconds=spent,
        peak_mb=watch.peak_mb,
        lake_mb=round(sum(path.stat().st_size for path in files) / 2**20, 1),
        lake_files=len(files),
    )


def stored(home: Path, table: str, counts: dict[str, int]) -> int:
    """Rows of a table, which must be as many of each currency as the market has."""
    store = open_store_at(str(home / "lake"))
    found = dict(store.query(f"SELECT currency, count(*) FROM {table} GROUP BY currency").iter_rows())
    if found != counts:
        wrong = {name: (found.get(name, 0), count) for name, count in counts.items() if found.get(name, 0) != count}
        raise SystemExit(f"{table}: stored and served rows differ: {wrong}")
    return sum(found.values())


def main() -> None:
    """Measure once, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--currencies", type=int, default=1)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--interval", choices=("1m", "1h"), default="1m")
    parser.add_argument("--start", default="2024-03-01", help="first day (default 2024-03-01)")
    parser.add_argument("--archives", type=Path, help="keep the archives there, a directory for each market")
    parser.add_argument("--home", type=Path, help="a directory that is not there yet; by default a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    chosen = parser.parse_args()
    first = datetime.fromisoformat(chosen.start).replace(tzinfo=UTC).date()
    plan = Plan(chosen.currencies, chosen.days, chosen.interval, first)
    if chosen.home is not None and chosen.home.exists():
        parser.error(f"{chosen.home} exists: the home must be a fresh one")
    with tempfile.TemporaryDirectory() as folder:
        home = (chosen.home or Path(folder) / "home").absolute()
        result = measure(plan, home, (chosen.archives or Path(folder) / "archives") / plan.name)
    line = json.dumps(asdict(result))
    print(line)
    if chosen.json:
        chosen.json.write_text(line + "\n")


if __name__ == "__main__":
    main()

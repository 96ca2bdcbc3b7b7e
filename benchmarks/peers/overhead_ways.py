"""One way of making the indicators of a range of days, told by the first argument: see `overhead`."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.contestant import serve
from benchmarks.scale_out import INTERVAL, currencies, writes_of
from cryptobot_assets.assets.features import indicated
from cryptobot_assets.checks.features import IndicatorChecks
from cryptobot_assets.contracts.factories import START
from cryptobot_assets.deployment import Deployment, open_deployment
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import INDICATORS

(CURRENCY,) = currencies(1)
PROCESSES_TIMED = 2


def main() -> None:
    """Get a home ready and answer."""
    way, klines, home, days = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    shutil.copytree(klines, home)
    settings = Settings.load(home=home, interval=INTERVAL, currencies=CURRENCY, start_day=START.date())
    keys = [f"{CURRENCY}|{(START + day * DAY).date()}" for day in range(days)]

    def facts(found: dict[str, float]) -> dict[str, Any]:
        rows = Lake(str(home / "lake")).read(INDICATORS, columns=["time"]).height
        if not found and rows != days * 1440:
            raise RuntimeError(f"{rows} rows of indicators, not {days * 1440}")
        return found | {"rows": rows}

    if way == "functions":
        serve(lambda: by_functions(settings, days), facts)
        return
    with open_deployment(settings) as deployment:
        works: dict[str, Callable[[], dict[str, float]]] = {
            "ranged": lambda: by_one_run(deployment, keys),
            "runs": lambda: by_runs(deployment, keys),
            "processes": lambda: by_processes(settings, keys),
        }
        serve(works[way], facts)


def by_functions(settings: Settings, days: int) -> dict[str, float]:
    """Read, compute, look, store; nothing is recorded."""
    lake = Lake(str(settings.home / "lake"))
    for _ in indicated(writes_of([CURRENCY], days), settings, lake, IndicatorChecks(INTERVAL)):
        pass
    return {}


def by_one_run(deployment: Deployment, keys: Sequence[str]) -> dict[str, float]:
    """All days in one run."""
    deployment.materialize(["indicators"], key_range=(keys[0], keys[-1]))
    return {}


def by_runs(deployment: Deployment, keys: Sequence[str]) -> dict[str, float]:
    """A run a day, one after the other, in this process."""
    for key in keys:
        deployment.materialize(["indicators"], key=key)
    return {}


def by_processes(settings: Settings, keys: Sequence[str]) -> dict[str, float]:
    """A run and a process a day: some timed, as the seconds of all."""
    environment = {
        "CRYPTOBOT_HOME": str(settings.home), "CRYPTOBOT_INTERVAL": INTERVAL, "CRYPTOBOT_CURRENCIES": CURRENCY,
        "CRYPTOBOT_START_DAY": START.date().isoformat(), "DAGSTER_HOME": str(settings.home / "dagster"),
    }  # fmt: skip
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "indicators"]
    began, cpu = time.perf_counter(), _children_seconds()
    for key in keys[:PROCESSES_TIMED]:
        told = [*command, "--partition", key, "-m", "cryptobot_assets.definitions"]
        subprocess.run(told, env={**os.environ, **environment}, check=True, capture_output=True)
    spent = {"seconds": time.perf_counter() - began, "cpu_seconds": _children_seconds() - cpu}
    return {name: value * len(keys) / PROCESSES_TIMED for name, value in spent.items()}


def _children_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


if __name__ == "__main__":
    main()

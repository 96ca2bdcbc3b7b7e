"""The real command line as processes of its own: started, watched, killed, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES, PREDICTIONS, Store
from cryptobot_assets_tests.platform.warm import SETTINGS, Forked, warm

TABLES = (KLINES, INDICATORS, PREDICTIONS, GAPS)
HASTY = {
    "CRYPTOBOT_PICTURES": "0",
    "CRYPTOBOT_DRAWS": "50",
    "CRYPTOBOT_SECOND_LOOK_ROWS": "1000",
    "CRYPTOBOT_MAX_TUNING_ROWS": "2000",
    "CRYPTOBOT_MAX_TRAINING_ROWS": "4000",
}
"""All that a command does, of less."""
REGISTRY = ("cryptobot_assets.storage.mlflow_client", "mlflow")
TRAINING = (*REGISTRY, "arch.bootstrap", "optuna", "purgedcv", "skl2onnx", "sklearn.linear_model")
MODULES = {"demo": TRAINING, "retrain": TRAINING, "restore": REGISTRY, "report": TRAINING, "lineage": REGISTRY}
"""What a command imports on its way, beside its own module."""


@dataclass
class Command:
    """A running `cryptobot` command; its output goes to files beside the home."""

    process: subprocess.Popen[bytes] | Forked
    out: Path
    err: Path

    def finish(self, *, seconds: float = 800) -> tuple[int, str, str]:
        """Exit code, stdout and stderr once it has ended."""
        code = self.process.wait(seconds)
        return code, self.out.read_text(), self.err.read_text()

    def until(self, true: Callable[[], bool], what: str, *, seconds: float = 400) -> None:
        """Return when `true()`; fails when the command ends before, or takes longer."""
        deadline = time.monotonic() + seconds
        while not true():
            ended = self.process.poll()
            assert ended is None, f"ended with {ended} before {what}: {self.err.read_text()}"
            assert time.monotonic() < deadline, f"no {what} in {seconds} s: {self.out.read_text()}"
            time.sleep(0.02)


def start(home: Path, *arguments: object, cold: bool = False, **settings: str) -> Command:
    """Start `cryptobot` on a home.

    Args:
        cold: as a user does, as a program of its own; else forked from a process that has its imports behind it.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    out, err = home.with_suffix(".out"), home.with_suffix(".err")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    words, environment = [str(one) for one in arguments], {**clean, "CRYPTOBOT_HOME": str(home), **HASTY, **settings}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        if cold:
            process = subprocess.Popen(
                [sys.executable, "-m", "cryptobot_assets.cli.main", *words],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        else:
            modules = (f"cryptobot_assets.cli.{words[0]}", *MODULES.get(words[0], ()))
            process = warm().start(words, environment, modules, out, err)
    return Command(process, out, err)


def run(home: Path, *arguments: object, cold: bool = False, **settings: str) -> str:
    """Run `cryptobot` on a home to its good end; returns its stdout."""
    code, out, err = start(home, *arguments, cold=cold, **settings).finish()
    assert code == 0, (code, err, out)
    assert err == ""
    return out


@contextmanager
def running_exchange(home: Path, *arguments: object) -> Iterator[str]:
    """`cryptobot exchange` with these arguments; its URL."""
    command = start(home, "exchange", "--port", "0", *arguments, cold=True)
    try:
        command.until(lambda: " on http" in command.out.read_text(), "exchange")
        yield command.out.read_text().split(" on ")[-1].strip()
    finally:
        command.process.terminate()
        command.process.wait(60)


def processes_of(home: Path) -> list[str]:
    """Command lines of living processes that were started for this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(str(home) in word for word in words):
            found.append(" ".join(words[:6]))
    return found


def left_behind(home: Path, *, seconds: float = 60) -> list[str]:
    """Processes of the home that have not ended by themselves within the time."""
    deadline = time.monotonic() + seconds
    while (alive := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive


def read_tables(home: Path) -> dict[str, pl.DataFrame]:
    """Every table of a home, sorted by key."""
    return tables_of(Lake(str(home / "lake")))


def tables_of(store: Store) -> dict[str, pl.DataFrame]:
    """Every table of a store, sorted by key."""
    return {table.name: store.read(table) for table in TABLES}


def require_same_tables(tables: dict[str, pl.DataFrame], others: dict[str, pl.DataFrame]) -> None:
    """Nothing, when the tables hold the same rows, each key once."""
    for table in TABLES:
        rows, expected = tables[table.name], others[table.name]
        assert not rows.select(pl.struct(table.key).is_duplicated().any()).item(), table.name
        assert rows.equals(expected), (table.name, rows.height, expected.height, rows.join(expected, on=table.key))


def require_numbers(value: Any, *, absent: Sequence[str] = ()) -> None:
    """Nothing, when no figure in a JSON value is missing."""
    if isinstance(value, dict):
        for key, one in value.items():
            assert one is not None or key in absent, key
            require_numbers(one, absent=absent)
    elif isinstance(value, list):
        for one in value:
            assert one is not None
            require_numbers(one, absent=absent)


def read_report(path: Path) -> dict[str, Any]:
    """A report as written by `--report`."""
    return json.loads(path.read_text(), parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))

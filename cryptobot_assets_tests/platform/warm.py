"""Commands that do not import anew: a process that has imported what they need forks one for each.

Importing is most of what a short command costs. Each is a process of its own all the same, with its
own memory, environment and signals, that ends or is killed alone.

    test --one line of JSON a request--> warm process --fork--> command, command ...

Run as a program it is the warm process; it ends with its standard input.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

SETTINGS = ("CRYPTOBOT_", "MLFLOW_", "DAGSTER_")
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Threads do not live through a fork; NumPy's start with its import unless told not to."""
HARMLESS = {"jemalloc_bg_thd", "polars-ooc-clea"}
"""Threads of Polars' import that a fork may lose: one that is begun anew, and one that tidies disks."""


@dataclass
class Forked:
    """A command that was forked, as far as `subprocess.Popen` would tell of it."""

    pid: int
    warm: Warm
    returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code once it has ended, negative after a signal."""
        if self.returncode is None:
            self.returncode = self.warm.ask(wait_for=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit code; raises `subprocess.TimeoutExpired` when it has not ended in that many seconds."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"command {self.pid}", timeout)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing, when it was found to have ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


@dataclass
class Warm:
    """The other side of the warm process."""

    process: subprocess.Popen[str] = field(
        default_factory=lambda: subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=Path(__file__).resolve().parents[2],
            env={**{name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], modules: Sequence[str], out: Path, err: Path
    ) -> Forked:
        """Start `cryptobot` with these arguments, its output in two files that exist, once the modules are imported."""
        pid = self.ask(
            arguments=list(arguments), environment=dict(environment), modules=list(modules), out=str(out), err=str(err)
        )
        return Forked(pid, self)

    def ask(self, **request: Any) -> int | None:
        """Its answer to one request."""
        print(json.dumps(request), file=self._pipe(self.process.stdin), flush=True)
        return json.loads(self._pipe(self.process.stdout).readline())

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@cache
def warm() -> Warm:
    """The warm process of this one, started when it is first asked for."""
    made = Warm()
    atexit.register(made.process.communicate)
    return made


def serve(before: Mapping[str, str]) -> dict[str, Any]:
    """Answer requests until they end; returns in each forked process with what that one has to do."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wait_for" in request:
            pid, status = os.waitpid(request["wait_for"], os.WNOHANG)
            _tell(os.waitstatus_to_exitcode(status) if pid else None)
            continue
        for name in request["modules"]:
            importlib.import_module(name)
        require_one_thread()
        pid = os.fork()
        if pid == 0:
            made = {name: value for name, value in os.environ.items() if before.get(name) != value}
            return {**request, "environment": {**made, **request["environment"]}}
        _tell(pid)
    sys.exit()


def require_one_thread() -> None:
    """Nothing, when a fork would lose no thread that matters."""
    others = {task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")} - HARMLESS
    assert len(others) == 1, f"a fork would lose some of the threads {others}"


def _tell(answer: int | None) -> None:
    print(json.dumps(answer), flush=True)


def become(request: Mapping[str, Any]) -> None:
    """Turn a fork into the command."""
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY),
        (2, request["err"], os.O_WRONLY),
    ):
        file = os.open(path, flags)
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["cryptobot", *request["arguments"]]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    inherited = dict(os.environ)
    from cryptobot_assets.cli.main import main

    become(serve(inherited))
    main()

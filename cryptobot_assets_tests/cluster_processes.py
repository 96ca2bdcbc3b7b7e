"""A scheduler and workers of the real commands, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptobot_assets.processes import free_port

COMMAND = (sys.executable, "-m", "cryptobot_assets.cli.main", "cluster")


@contextmanager
def running_cluster(workers: int, environment: Mapping[str, str]) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """Its address and its workers, once they work; everything has ended when the block has."""
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    variables = {**os.environ, **environment, "CRYPTOBOT_CLUSTER_URL": url}
    with ExitStack() as stack:
        _start(stack, ["scheduler", "--port", str(port)], variables)
        yield url, [_start(stack, ["worker"], variables) for _ in range(workers)]


def _start(stack: ExitStack, arguments: list[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
    log = Path(variables["CRYPTOBOT_HOME"]) / f"cluster-{arguments[0]}.log"
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=variables, stdout=subprocess.PIPE, stderr=log.open("a"), text=True
    )
    stack.enter_context(process)
    stack.callback(process.terminate)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("cluster: "), log.read_text()[-2000:]
    return process

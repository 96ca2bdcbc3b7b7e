"""Dagster's code server, whose runs are forked from a process that has their imports behind it.

Started by tests as a program, with the arguments of `dagster api grpc`. Everything but how the process
of a run begins is the code server as it is; importing is most of what a short run costs.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from multiprocessing.forkserver import ensure_running

from dagster._cli.api import api_cli

from cryptobot_assets.code_server import MODULE
from cryptobot_assets_tests.platform.warm import ONE_THREAD

PRELOADED = "cryptobot_assets_tests.platform.warm_runs"


def fork_runs() -> None:
    """Let the server, which asks for processes that begin from nothing, have forks of one that is kept for it.

    Returns when that one is ready: who launches a run waits a minute for its beginning and no longer.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    ensure_running()
    importlib.import_module(MODULE)  # meanwhile; the server needs it too
    first = context.Process(target=int)
    first.start()
    first.join()
    assert first.exitcode == 0, f"the process that is forked did not become ready: {first.exitcode}"
    multiprocessing.get_context = lambda _: context


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    fork_runs()
    api_cli(["grpc", *sys.argv[1:]])

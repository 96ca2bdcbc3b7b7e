"""Workers whose supervisor is killed outright: as processes, with a stand-in of BentoML's."""

from __future__ import annotations

import subprocess
import sys

import pytest

SUPERVISOR = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[2]])"
WORKER = """
import os, time
from cryptobot_assets.serving.lifeline import end_with_supervisor
supervisor = os.getppid()
{before}
end_with_supervisor()
{after}
time.sleep(60)
"""
SAY = "print('started', flush=True)"
OUTLIVE = "while os.getppid() == supervisor: time.sleep(0.01)"


@pytest.mark.skipif(sys.platform != "linux", reason="a promise of Linux")
@pytest.mark.parametrize(("before", "after"), [("", SAY), (f"{SAY}\n{OUTLIVE}", "")], ids=["at work", "starting"])
def test_a_worker_ends_with_its_supervisor(before: str, after: str) -> None:
    """Its standard output is at its end when no process holds it any more."""
    worker = WORKER.format(before=before, after=after)
    command = [sys.executable, "-c", SUPERVISOR, "bentoml", worker]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "started\n"
        supervisor.kill()
        rest, _ = supervisor.communicate(timeout=30)
    assert rest == "" if after else "supervisor ended while this worker was starting" in rest

"""The log of served predictions: it never holds a request up, and says what it could not keep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.serving import prediction_log
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.prediction_log import SpoolLog
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.served_spool import SpoolFile, empty_spool
from cryptobot_assets.storage.store import SERVED_PREDICTIONS
from cryptobot_assets_tests.storage.test_served_spool import make_served


def counted(metrics: Metrics, series: str) -> float:
    lines = metrics.exposition().body.decode().splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series)), 0.0)


WRITTEN = 'cryptobot_prediction_log_total{outcome="written"}'
DROPPED = 'cryptobot_prediction_log_total{outcome="dropped"}'


def stored(folder: Path, lake: Path) -> int:
    store = Lake(str(lake))
    empty_spool(folder, store)
    return store.read(SERVED_PREDICTIONS).height


def test_a_stop_writes_all_that_was_recorded(tmp_path: Path) -> None:
    metrics = Metrics()
    log = SpoolLog(tmp_path / "served", metrics)
    log.start()
    for number in range(500):
        log.record(make_served(number, currencies=("BTCUSDT", "ETHUSDT")))
    log.stop()
    assert stored(tmp_path / "served", tmp_path / "lake") == 1_000
    assert (counted(metrics, WRITTEN), counted(metrics, DROPPED)) == (1_000, 0)


def test_a_full_queue_drops_and_counts_and_takes_again_later(tmp_path: Path) -> None:
    metrics = Metrics()
    log = SpoolLog(tmp_path / "served", metrics, most_queued=10)
    for number in range(25):
        log.record(make_served(number))
    assert counted(metrics, DROPPED) == 15
    assert log.flush()
    log.record(make_served(99))
    assert log.flush()
    assert counted(metrics, WRITTEN) == 11


def test_a_disk_that_refuses_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    log = SpoolLog(tmp_path / "served", metrics)
    whole = SpoolFile.append

    def half(file: SpoolFile, replies: list) -> None:
        whole(file, replies[:1])
        raise OSError(28, "no space left on device")

    log.record(make_served(1))
    log.record(make_served(2))
    with monkeypatch.context() as patched:
        patched.setattr(SpoolFile, "append", half)
        assert not log.flush()
    log.record(make_served(3))
    assert log.flush()
    assert counted(metrics, "cryptobot_prediction_log_failures_total") == 1
    log._close()
    assert stored(tmp_path / "served", tmp_path / "lake") == 3


def test_files_are_finished_by_age_and_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [START]
    log = SpoolLog(tmp_path / "served", Metrics(), now=lambda: now[0])
    log.record(make_served(1))
    log.flush()
    assert stored(tmp_path / "served", tmp_path / "lake") == 0
    now[0] += 2 * prediction_log.FILE_AGE
    log.flush()
    assert stored(tmp_path / "served", tmp_path / "lake") == 1
    monkeypatch.setattr(prediction_log, "FILE_BYTES", 10)
    log.record(make_served(2))
    log.flush()
    assert stored(tmp_path / "served", tmp_path / "lake") == 2


WORKER = """
import sys, time
from pathlib import Path
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.prediction_log import SpoolLog
from cryptobot_assets_tests.storage.test_served_spool import make_served
log = SpoolLog(Path(sys.argv[1]), Metrics())
log.start()
for number in range(1_000_000):
    log.record(make_served(number))
    print(number, time.monotonic(), flush=True)
    time.sleep(0.002)
"""


def test_a_killed_process_loses_at_most_its_last_second(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", WORKER, str(tmp_path / "served")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ) as worker:
        said = [worker.stdout.readline()]
        begun = time.monotonic()
        while (killed_at := time.monotonic()) < begun + 2:
            said.append(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
        said += worker.stdout.read().splitlines(keepends=True)
    times = [float(line.split()[1]) for line in said if line.endswith(b"\n")]
    kept = stored(tmp_path / "served", tmp_path / "lake")
    assert kept >= sum(moment < killed_at - 1 for moment in times) > 0

"""What the service tells of its models, and of workers that are no more."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cryptobot_assets.serving.cache import ModelCache
from cryptobot_assets.serving.catalogue import Catalogue
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets_tests.monitoring.expositions import series
from cryptobot_assets_tests.serving.fakes import CUTOFF, FakeModels, load_fake, make_version

WORKER = """
import sys
from cryptobot_assets.serving.metrics import Metrics
metrics = Metrics()
metrics.log_queued(7)
metrics.arrived()
metrics.answered("/predict", 200, 0.01)
print(metrics.exposition().body.decode())
"""


def told(metrics: Metrics) -> dict[str, float]:
    return series(metrics.exposition().body.decode())


def test_a_change_of_champion_is_counted_and_the_version_told(tmp_path: Path) -> None:
    models, metrics = FakeModels(), Metrics()
    catalogue = Catalogue(lambda: models, ModelCache(tmp_path), market="ALL", load=load_fake, metrics=metrics)
    began = datetime.now(UTC).timestamp()
    assert told(metrics)['cryptobot_model_swaps_total{alias="champion"}'] == 0
    models.appoint(make_version(version="1"), registered_version="3", verdict="unproven")
    catalogue.poll()
    first = told(metrics)
    assert first['cryptobot_served_version_min{alias="champion",market="ALL"}'] == 3
    assert math.isnan(first['cryptobot_served_version_max{alias="challenger",market="ALL"}'])
    assert first['cryptobot_served_cutoff_timestamp_seconds{alias="champion",market="ALL"}'] == CUTOFF.timestamp()
    assert first["cryptobot_served_passed"] == 0
    assert first['cryptobot_model_swaps_total{alias="champion"}'] == 0, "the first is no change"
    assert first["cryptobot_registry_checked_timestamp_seconds"] >= began

    models.appoint(make_version(version="2"), registered_version="4")
    catalogue.poll()
    catalogue.poll()
    after = told(metrics)
    assert after['cryptobot_served_version_max{alias="champion",market="ALL"}'] == 4
    assert after['cryptobot_model_swaps_total{alias="champion"}'] == 1
    assert after['cryptobot_model_loads_total{outcome="loaded"}'] == 2
    assert after["cryptobot_served_passed"] == 1

    models.damaged.add("9")
    models.appoint(make_version(version="9"), registered_version="5")
    catalogue.poll()
    refused = told(metrics)
    assert refused['cryptobot_model_loads_total{outcome="refused"}'] == 1
    assert refused['cryptobot_served_version_max{alias="champion",market="ALL"}'] == 4


def test_what_a_dead_worker_held_is_told_no_more_but_what_it_answered_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    pages = [
        subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    for number, page in enumerate(pages, start=1):
        assert series(page)["cryptobot_prediction_log_queued"] == 7
        assert series(page)["cryptobot_requests_in_flight"] == 1
        assert series(page)['cryptobot_requests_total{route="/predict",status="200"}'] == number

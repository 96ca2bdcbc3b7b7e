"""The real process: BentoML, an SQLite registry, a lake on disk, models trained here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.served_spool import FOLDER, empty_spool, is_empty
from cryptobot_assets.storage.store import SERVED_PREDICTIONS, open_store
from cryptobot_assets_tests.conftest import MakeDatabase
from cryptobot_assets_tests.monitoring.expositions import series
from cryptobot_assets_tests.serving.hardships import (
    PASSED,
    answer_while_the_registry_hangs,
    kill_a_worker,
    kill_everything,
    recorded,
    refuse_broken_versions,
)
from cryptobot_assets_tests.serving.platform import (
    Hammer,
    Service,
    fill_lake,
    read_samples,
    running_service,
    train,
    wait_until,
)

pytestmark = [pytest.mark.platform, pytest.mark.timeout(600)]

UNPROVEN = {"promote": False, "reasons": ["no better than nothing"]}


@dataclass(frozen=True)
class Home:
    settings: Settings
    registry: Registry
    database: Path


@pytest.fixture
def home(tmp_path: Path, mlflow_database: MakeDatabase) -> Home:
    database = tmp_path / "mlflow.db"
    settings = Settings.load(
        home=tmp_path / "home", interval="1h", currencies="BTCUSDT,ETHUSDT,LTCUSDT",
        mlflow_tracking_uri=mlflow_database(database), service_market="ALL",
        service_workers=2,
    )  # fmt: skip
    return Home(settings, Registry(settings.mlflow_tracking_uri, tmp_path / "artifacts"), database)


def test_the_service_follows_the_registry_outlives_it_and_leaves_no_process(home: Home, tmp_path: Path) -> None:
    with running_service(home.settings) as service:
        follow_and_outlive(home, service)
        kill_everything(home.settings.home / FOLDER, service)
    stored = empty_spool(home.settings.home / FOLDER, open_store(home.settings))
    assert stored.rows == len(open_store(home.settings).read(SERVED_PREDICTIONS)) > 50
    assert is_empty(home.settings.home / FOLDER), "files of killed workers are emptied too"
    with pytest.raises(ProcessLookupError):
        os.killpg(service.process.pid, 0)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "mlflow.db", "artifacts"}


def swap_under_load(home: Home, service: Service, version: RegisteredVersion) -> None:
    """Both workers come to serve a new champion, no request fails, and every reply is recorded.

    How soon is measured by `benchmarks/serving.py --swap`, on a machine that does nothing else.
    """
    with Hammer(service) as hammer:
        wait_until(lambda: len(hammer.replies) > 20, what="load")
        promoted = home.registry.promote(version, alias="champion", verdict=PASSED)
        wait_until(lambda: hammer.newest_are(version.version), what="the new champion in every worker")
    told = series(service.client.get("/metrics").text)
    assert told['cryptobot_served_version_min{alias="champion",market="ALL"}'] == float(promoted.version)
    assert told['cryptobot_served_version_max{alias="champion",market="ALL"}'] == float(promoted.version)
    assert told['cryptobot_model_swaps_total{alias="champion"}'] == 2, "once in each worker"
    assert told["cryptobot_served_passed"] == 1
    assert hammer.failures == []
    ids = {reply["prediction_id"] for reply in hammer.replies}
    assert len(ids) == len(hammer.replies)
    spool = home.settings.home / FOLDER
    wait_until(lambda: ids <= recorded(spool), what="the record of every reply")


def follow_and_outlive(home: Home, service: Service) -> None:
    samples = read_samples(fill_lake(home.settings.lake_url))
    ridge, version = train(home.registry, samples)
    wait_until(lambda: service.client.get("/livez").status_code == 200, what="an answer")
    assert service.client.get("/readyz").status_code == 503
    assert service.client.post("/predict", json={"currency": "BTCUSDT"}).status_code == 503

    first = home.registry.promote(version, alias="champion", verdict=UNPROVEN)
    wait_until(lambda: service.client.get("/readyz").status_code == 200, what="readiness")
    newest = samples.take(samples.time == samples.time[-1])
    for currency, expected in zip(newest.currency, ridge.predict(newest.X), strict=True):
        reply = service.predict(currency)
        assert reply["predicted_return"] == pytest.approx(expected, rel=1e-6)
        assert reply["interval"] == pytest.approx([expected - 0.03, expected + 0.04], rel=1e-6)
        assert reply["time"] == "2024-02-09T23:00:00Z"
    assert reply["model"] == {
        "name": "cryptobot-ALL-ridge",
        "version": version.version,
        "algorithm": "ridge",
        "market": "ALL",
        "cutoff": "2024-01-31T00:00:00Z",
        "verdict": "unproven",
        "alias": "champion",
        "registered": {"name": "cryptobot-ALL", "version": first.version},
    }
    rows = [dict(zip(samples.features, row, strict=True)) for row in samples.X[:50].tolist()]
    predicted = service.client.post("/predict_features", json={"rows": rows}).json()["predicted_return"]
    assert predicted == pytest.approx(ridge.predict(samples.X[:50]), rel=1e-6)

    other, second = train(home.registry, samples, seed=1)
    trees, tree_version = train(home.registry, samples, algorithm="xgboost")
    swap_under_load(home, service, second)
    by_currency = dict(zip(newest.currency, other.predict(newest.X), strict=True))
    assert service.predict()["predicted_return"] == pytest.approx(by_currency["BTCUSDT"], rel=1e-6)
    assert service.predict()["model"]["verdict"] == "passed"

    home.registry.promote(version, alias="champion", verdict=PASSED)
    wait_until(lambda: service.predict()["model"]["version"] == version.version, what="the swap back")
    by_trees = service.client.post("/predict_xgboost", json={"rows": rows}).json()
    assert by_trees["predicted_return"] == pytest.approx(trees.predict(samples.X[:50]), rel=1e-5)
    assert by_trees["model"]["version"] == tree_version.version
    log = service.log.read_text()
    assert log.count("downloaded cryptobot-ALL-ridge version 1") == 1
    assert log.count("downloaded cryptobot-ALL-ridge version 2") == 1

    refuse_broken_versions(home.registry, samples, service)
    home.registry.promote(version, alias="champion", verdict=PASSED)
    answer_while_the_registry_hangs(home.database, service)
    kill_a_worker(home.settings.home / FOLDER, service)
    home.database.write_bytes(b"no database any more" * 1_000)
    wait_until(
        lambda: "does not answer" in str(service.client.get("/models").json()["registry"]["error"]),
        what="notice of the dead registry",
    )  # fmt: skip
    assert service.predict()["model"]["version"] == version.version
    assert str(home.settings.home) not in service.client.get("/models").text

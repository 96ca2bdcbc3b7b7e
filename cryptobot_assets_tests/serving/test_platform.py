"""The real process: BentoML, an SQLite registry, a lake on disk, models trained here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets_tests.serving.platform import (
    Service,
    fill_lake,
    read_samples,
    running_service,
    train,
    wait_until,
)

pytestmark = pytest.mark.platform

PASSED = {"promote": True, "reasons": ["better"]}
UNPROVEN = {"promote": False, "reasons": ["no better than nothing"]}


@dataclass(frozen=True)
class Home:
    settings: Settings
    registry: Registry
    database: Path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    database = tmp_path / "mlflow.db"
    settings = Settings.load(
        home=tmp_path / "home", interval="1h", currencies="BTCUSDT,ETHUSDT,LTCUSDT",
        mlflow_tracking_uri=f"sqlite:///{database}", service_market="ALL",
    )  # fmt: skip
    return Home(settings, Registry(settings.mlflow_tracking_uri, tmp_path / "artifacts"), database)


def test_the_service_follows_the_registry_outlives_it_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    with running_service(home.settings) as service:
        follow_and_outlive(home, service)
    with pytest.raises(ProcessLookupError):
        os.killpg(service.process.pid, 0)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "mlflow.db", "artifacts"}
    assert not list((home.settings.home / "tmp").glob("bentoml*"))


def follow_and_outlive(home: Home, service: Service) -> None:
    samples = read_samples(fill_lake(home.settings.lake_url))
    ridge, version = train(home.registry, samples)
    wait_until(lambda: service.client.get("/livez").status_code == 200, seconds=90, what="an answer")
    assert service.client.get("/readyz").status_code == 503
    assert service.client.post("/predict", json={"currency": "BTCUSDT"}).status_code == 503

    first = home.registry.promote(version, alias="champion", verdict=UNPROVEN)
    wait_until(lambda: service.client.get("/readyz").status_code == 200, seconds=60, what="readiness")
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
    home.registry.promote(second, alias="champion", verdict=PASSED)
    wait_until(
        lambda: service.predict()["model"]["version"] == second.version, seconds=5, what="the new champion's answer"
    )
    by_currency = dict(zip(newest.currency, other.predict(newest.X), strict=True))
    assert service.predict()["predicted_return"] == pytest.approx(by_currency["BTCUSDT"], rel=1e-6)
    assert service.predict()["model"]["verdict"] == "passed"

    home.registry.promote(version, alias="champion", verdict=PASSED)
    wait_until(lambda: service.predict()["model"]["version"] == version.version, seconds=5, what="the swap back")
    by_trees = service.client.post("/predict_xgboost", json={"rows": rows}).json()
    assert by_trees["predicted_return"] == pytest.approx(trees.predict(samples.X[:50]), rel=1e-5)
    assert by_trees["model"]["version"] == tree_version.version
    log = service.log.read_text()
    assert log.count("downloaded cryptobot-ALL-ridge version 1") == 1
    assert log.count("downloaded cryptobot-ALL-ridge version 2") == 1

    home.database.write_bytes(b"no database any more" * 1_000)
    wait_until(
        lambda: "does not answer" in str(service.client.get("/models").json()["registry"]["error"]),
        seconds=30, what="notice of the dead registry",
    )  # fmt: skip
    assert service.predict()["model"]["version"] == version.version
    assert str(home.settings.home) not in service.client.get("/models").text

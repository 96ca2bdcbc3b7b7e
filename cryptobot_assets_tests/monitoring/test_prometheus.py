"""Debian's Prometheus reads a live service and the live exporter, and every panel and every alert finds its data."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from cryptobot_assets.monitoring.exposition import exposing
from cryptobot_assets.monitoring.watching import Watcher
from cryptobot_assets.serving.app import make_app
from cryptobot_assets.serving.cache import ModelCache
from cryptobot_assets.serving.catalogue import Catalogue
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.prediction_log import SpoolLog
from cryptobot_assets.serving.registry_models import RegistryModels
from cryptobot_assets_tests.monitoring.deployed import ROOT, RULES, dashboards, filled_in, lacking, panels, selectors
from cryptobot_assets_tests.monitoring.prometheus import Prometheus, running_prometheus
from cryptobot_assets_tests.monitoring.world import World
from cryptobot_assets_tests.programs import require_program
from cryptobot_assets_tests.serving.fakes import NEWEST, FakeFeatures
from cryptobot_assets_tests.serving.sockets import over_a_socket

EXPECTED = {"service", "pipeline", "models"}
ASKED = 8


def open_desk(world: World, folder: Path) -> Desk:
    """A desk that follows the world's registry and records what it answers."""
    metrics = Metrics()
    catalogue = Catalogue(
        lambda: RegistryModels(world.registry, "ALL"), ModelCache(folder / "cache"), market="ALL", metrics=metrics
    )
    log = SpoolLog(folder / "served", metrics)
    catalogue.poll()
    log.start()
    features = FakeFeatures(rows={"BTCUSDT": (0.01, -0.02), "ETHUSDT": (0.02, 0.01)})
    return Desk(
        shelf=catalogue,
        source=features,
        market="ALL",
        log=log,
        metrics=metrics,
        close=log.stop,
        now=lambda: NEWEST + timedelta(hours=2),
    )


def ask(client: httpx.Client) -> None:
    """Requests of every kind, good ones and bad."""
    for path, body in (("/predict", {"currency": "BTCUSDT"}), ("/rank", {}), ("/predict", {"currency": "DOGE"})):
        assert client.post(path, json=body).status_code in (200, 400)
    client.get("/nowhere")


@pytest.fixture(scope="module")
def prometheus(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus over both, with the rules of `deploy`."""
    folder = tmp_path_factory.mktemp("prometheus")
    require_program("prometheus", "prometheus")
    watcher = Watcher(world.sources(), every_seconds=60)
    watcher.read_all()
    with ExitStack() as stack:
        client = stack.enter_context(over_a_socket(make_app(lambda: open_desk(world, folder))))
        exporter = stack.enter_context(exposing(watcher.figures, 0))
        ask(client)  # or there would be no series to grow
        jobs = {"cryptobot-service": client.base_url.port, "cryptobot-pipeline": exporter}
        running = stack.enter_context(running_prometheus(folder, jobs, RULES))
        for _ in range(ASKED):
            ask(client)
        yield running


def test_every_panel_shows_data(prometheus: Prometheus) -> None:
    assert set(dashboards()) == EXPECTED
    empty = {}
    for panel in panels():
        for expression in panel.expressions:
            if not prometheus.query(expression):
                empty[panel.name] = expression
    assert empty == {}


def test_every_series_that_a_panel_or_an_alert_reads_is_there(prometheus: Prometheus) -> None:
    alerts = {rule["name"]: rule["query"] for rule in prometheus.rules()}
    assert len(alerts) > 30
    asked = {one for panel in panels() for expression in panel.expressions for one in selectors(expression)}
    asked |= {one for expression in alerts.values() for one in selectors(expression)}
    assert len(asked) > 80
    first = {selector: prometheus.query(selector) for selector in asked}
    again = {one: len(prometheus.query_until_there(one)) for one in lacking({s: len(f) for s, f in first.items()})}
    assert lacking(again) == set()


def test_every_alert_is_evaluated_and_the_world_s_faults_raise_theirs(prometheus: Prometheus) -> None:
    for rule in prometheus.rules():
        prometheus.query(rule["query"])
    raised = {rule["name"] for rule in prometheus.rules() if prometheus.query(rule["query"])}
    assert raised >= {
        "CryptobotKlinesMissing",
        "CryptobotRunFailed",
        "CryptobotCheckFails",
        "CryptobotDaemonDead",
        "CryptobotDriftFound",
        "CryptobotChampionUnproven",
        "CryptobotModelOld",
    }
    assert not raised & {"CryptobotServiceDown", "CryptobotSourceDown", "CryptobotServiceErrors", "CryptobotTicksFail"}
    assert "CryptobotServiceLagsRegistry" not in raised


def test_a_misspelt_metric_or_label_would_be_seen(prometheus: Prometheus) -> None:
    for wrong in ('up{job="cryptobot-services"}', "cryptobot_home_free_byte", 'cryptobot_gaps{kind="mising"}'):
        assert selectors(f"sum({wrong}) > 0") == {wrong}
        assert lacking({wrong: len(prometheus.query(wrong))}) == {wrong}
    with pytest.raises(AssertionError, match="parse error"):
        prometheus.query(filled_in("sum(cryptobot_gaps"))


def test_promtool_accepts_configuration_and_rules_and_the_rules_pass_their_tests() -> None:
    promtool = require_program("promtool", "prometheus")
    config = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    tests = sorted((ROOT / "deploy" / "prometheus" / "tests").glob("*.yml"))
    assert tests
    for argv in (["check", "config", config], ["test", "rules", *tests]):
        done = subprocess.run([promtool, *map(str, argv)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

"""The catalogue keeps in step with the registry, and keeps what it has when it cannot."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from cryptobot_assets.errors import NoModel
from cryptobot_assets.serving.cache import ModelCache
from cryptobot_assets.serving.catalogue import Catalogue
from cryptobot_assets.serving.lineup import Appointment, Lineup, ModelVersion
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.registry_models import newest_versions
from cryptobot_assets_tests.serving.fakes import CUTOFF, FEATURES, FakeModels, load_fake, make_version

FIRST, SECOND = make_version(version="1"), make_version(version="2")
LASSO = make_version("lasso", "5")


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def catalogue(models: FakeModels, tmp_path: Path) -> Catalogue:
    return Catalogue(lambda: models, ModelCache(tmp_path), market="ALL", load=load_fake, poll_seconds=0.02)


def predicted(catalogue: Catalogue) -> float:
    return float(catalogue.champion().loaded.scorer.predict(np.zeros((1, len(FEATURES))))[0])


def error(catalogue: Catalogue) -> str | None:
    return catalogue.listing()["registry"]["error"]


def test_without_a_champion_there_is_nothing_to_answer_with(catalogue: Catalogue) -> None:
    with pytest.raises(NoModel):
        catalogue.champion()
    catalogue.poll()
    with pytest.raises(NoModel):
        catalogue.champion()
    assert "no champion" in str(error(catalogue))


def test_the_champion_is_named_by_its_algorithm_version_and_alias(catalogue: Catalogue, models: FakeModels) -> None:
    models.appoint(SECOND, registered_version="9", verdict="unproven")
    catalogue.poll()
    assert catalogue.champion().block == {
        "name": "cryptobot-ALL-ridge",
        "version": "2",
        "algorithm": "ridge",
        "market": "ALL",
        "cutoff": "2024-03-01T00:00:00Z",
        "verdict": "unproven",
        "alias": "champion",
        "registered": {"name": "cryptobot-ALL", "version": "9"},
    }
    assert catalogue.champion().loaded.interval(0.01) == pytest.approx([-0.03, 0.06])
    assert error(catalogue) is None


def test_a_moved_alias_swaps_the_model_and_downloads_each_version_once(
    catalogue: Catalogue, models: FakeModels
) -> None:
    for version in (FIRST, SECOND, FIRST, FIRST, SECOND):
        models.appoint(version)
        catalogue.poll()
        assert predicted(catalogue) == int(version.version) / 1000
    assert models.downloads == ["ridge 1", "ridge 2"]


def test_a_restart_downloads_nothing(models: FakeModels, tmp_path: Path) -> None:
    models.appoint(FIRST)
    for _ in range(2):
        catalogue = Catalogue(lambda: models, ModelCache(tmp_path), market="ALL", load=load_fake)
        catalogue.poll()
        assert predicted(catalogue) == 0.001
    assert models.downloads == ["ridge 1"]


def test_files_damaged_since_they_were_downloaded_are_fetched_anew(models: FakeModels, tmp_path: Path) -> None:
    models.appoint(FIRST)
    Catalogue(lambda: models, ModelCache(tmp_path), market="ALL", load=load_fake).poll()
    (held,) = tmp_path.rglob("facts.json")
    held.write_text("{")
    catalogue = Catalogue(lambda: models, ModelCache(tmp_path), market="ALL", load=load_fake)
    catalogue.poll()
    assert predicted(catalogue) == 0.001
    assert models.downloads == ["ridge 1", "ridge 1"]


def test_a_version_that_fails_its_warm_up_is_refused_once_and_the_old_one_stays(
    catalogue: Catalogue, models: FakeModels
) -> None:
    models.appoint(FIRST)
    catalogue.poll()
    models.damaged.add("2")
    models.appoint(SECOND)
    for _ in range(3):
        catalogue.poll()
    assert predicted(catalogue) == 0.001
    assert catalogue.champion().block["version"] == "1"
    assert models.downloads == ["ridge 1", "ridge 2"]
    assert "cryptobot-ALL-ridge version 2" in str(error(catalogue))
    assert "/" not in str(error(catalogue))
    models.appoint(make_version(version="3"))
    catalogue.poll()
    assert predicted(catalogue) == 0.003
    assert error(catalogue) is None


def test_a_worker_that_starts_while_the_champion_is_broken_serves_the_one_before(
    models: FakeModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()

    def start() -> Catalogue:
        catalogue = Catalogue(lambda: models, ModelCache(tmp_path), market="ALL", load=load_fake, metrics=metrics)
        catalogue.poll()
        return catalogue

    models.appoint(FIRST, registered_version="1")
    running = start()
    models.appoint(SECOND, registered_version="2", verdict="unproven")
    running.poll()
    models.damaged.add("3")
    models.appoint(make_version(version="3"), registered_version="3")
    started = start()
    running.poll()
    assert predicted(started) == predicted(running) == 0.002
    assert started.champion().block == running.champion().block
    assert error(started) == error(running) == started.fault()
    assert "cryptobot-ALL-ridge version 3" in str(error(started)) and "refused" in caplog.text
    assert started.listing()["models"][0]["registered"][0]["version"] == "2"
    assert 'cryptobot_served_version_max{alias="champion",market="ALL"} 2.0' in exposed(metrics)
    for facts in tmp_path.glob("*/2/*/facts.json"):
        facts.write_text("{")
    models.lost.add("2")
    assert predicted(start()) == 0.001, "what is damaged here and gone there is passed over"
    models.appoint(make_version(version="4"), registered_version="4")
    started.poll()
    assert predicted(started) == 0.004 and error(started) is None


def test_a_worker_that_starts_without_a_registry_serves_what_served(models: FakeModels, tmp_path: Path) -> None:
    def start(market: str = "ALL") -> Catalogue:
        catalogue = Catalogue(lambda: models, ModelCache(tmp_path), market=market, load=load_fake)
        catalogue.poll()
        return catalogue

    models.appoint(FIRST)
    start()
    models.down = True
    started = start()
    assert predicted(started) == 0.001 and "does not answer" in str(error(started))
    with pytest.raises(NoModel):
        start("BTCUSDT").champion()
    models.down, models.now = False, Lineup()
    with pytest.raises(NoModel):  # a registry that names nobody was emptied, or is another
        start().champion()


def exposed(metrics: Metrics) -> str:
    return bytes(metrics.exposition().body).decode()


def test_a_registry_that_does_not_answer_changes_nothing_but_the_listing(
    catalogue: Catalogue, models: FakeModels
) -> None:
    models.appoint(FIRST)
    catalogue.poll()
    models.down = True
    catalogue.poll()
    assert predicted(catalogue) == 0.001
    assert "does not answer" in str(error(catalogue)) and "secret" not in str(error(catalogue))
    models.down = False
    models.appoint(SECOND)
    catalogue.poll()
    assert predicted(catalogue) == 0.002
    assert error(catalogue) is None


def test_an_alias_taken_away_leaves_the_model_serving(catalogue: Catalogue, models: FakeModels) -> None:
    models.appoint(FIRST)
    catalogue.poll()
    models.now = Lineup()
    catalogue.poll()
    assert predicted(catalogue) == 0.001


def test_algorithms_load_when_asked_for_and_then_follow(catalogue: Catalogue, models: FakeModels) -> None:
    models.appoint(FIRST)
    models.add(LASSO)
    catalogue.poll()
    assert catalogue.held("lasso") is None
    assert models.downloads == ["ridge 1"]
    served = catalogue.fetch("lasso")
    assert (served.block["version"], served.block["verdict"]) == ("5", "unproven")
    models.add(make_version("lasso", "6"))
    catalogue.poll()
    assert catalogue.held("lasso").block["version"] == "6"
    assert models.downloads == ["ridge 1", "lasso 5", "lasso 6"]
    with pytest.raises(NoModel):
        catalogue.fetch("huber")


def test_only_the_champion_itself_is_passed(catalogue: Catalogue, models: FakeModels) -> None:
    models.appoint(FIRST, verdict="passed")
    catalogue.poll()
    assert catalogue.fetch("ridge").block["verdict"] == "passed"
    models.add(SECOND)
    catalogue.poll()
    assert catalogue.held("ridge").block["verdict"] == "unproven"
    assert catalogue.champion().block["verdict"] == "passed"


def test_the_listing_shows_every_loaded_model_and_its_aliases(catalogue: Catalogue, models: FakeModels) -> None:
    models.appoint(FIRST)
    models.add(LASSO)
    catalogue.poll()
    catalogue.fetch("lasso")
    listed = {entry["algorithm"]: entry for entry in catalogue.listing()["models"]}
    assert listed.keys() == {"ridge", "lasso"}
    assert (listed["ridge"]["aliases"], listed["lasso"]["aliases"]) == (["champion"], [])
    assert listed["ridge"]["loaded_at"].endswith("Z")
    models.appoint(SECOND)
    catalogue.poll()
    assert {entry["version"] for entry in catalogue.listing()["models"]} == {"2", "5"}


def test_the_thread_follows_and_survives_a_registry_that_cannot_be_opened(tmp_path: Path) -> None:
    models, attempts = FakeModels(), []

    def open_source() -> FakeModels:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("no route to /secret/path")
        return models

    models.appoint(FIRST)
    catalogue = Catalogue(open_source, ModelCache(tmp_path), market="ALL", load=load_fake, poll_seconds=0.02)
    catalogue.start()
    try:
        deadline = time.monotonic() + 5
        while error(catalogue) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert predicted(catalogue) == 0.001
    finally:
        catalogue.stop()
    assert "catalogue" not in {thread.name for thread in threading.enumerate()}


def test_readers_always_see_a_whole_model_while_aliases_move(catalogue: Catalogue, models: FakeModels) -> None:
    models.appoint(FIRST)
    catalogue.poll()
    seen: set[tuple[str, float]] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            champion = catalogue.champion()
            answer = champion.loaded.scorer.predict(np.zeros((1, len(FEATURES))))[0]
            seen.add((champion.block["version"], float(answer)))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 40):
        models.appoint(make_version(version=str(number % 5 + 1)))
        catalogue.poll()
    stop.set()
    reader.join(timeout=5)
    assert seen <= {(str(number), number / 1000) for number in range(1, 6)}


class SlowModels(FakeModels):
    """Hands out one version only when it is let go."""

    def __init__(self, slow: ModelVersion) -> None:
        super().__init__()
        self.slow, self.go = slow, threading.Event()

    def download(self, version: ModelVersion, folder: Path) -> object:
        if version == self.slow:
            self.go.wait(30)
        return super().download(version, folder)


def test_a_challenger_that_is_slow_to_come_holds_no_champion_up(tmp_path: Path) -> None:
    models = SlowModels(LASSO)
    models.appoint(FIRST)
    challenger = Appointment("challenger", "cryptobot-ALL", "2", LASSO, "unproven")
    models.now = Lineup({"challenger": challenger, **models.now.appointments}, models.now.newest)
    catalogue = Catalogue(lambda: models, ModelCache(tmp_path), market="ALL", load=load_fake)
    poll = threading.Thread(target=catalogue.poll)
    poll.start()
    try:
        deadline = time.monotonic() + 20
        while not catalogue.listing()["models"] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert predicted(catalogue) == 0.001
        assert catalogue.challenger() is None
    finally:
        models.go.set()
        poll.join()
    rival = catalogue.challenger()
    assert rival is not None
    assert (rival.block["algorithm"], rival.block["alias"], rival.block["verdict"]) == (
        "lasso",
        "challenger",
        "unproven",
    )


def test_a_challenger_that_is_the_champion_is_no_rival(catalogue: Catalogue, models: FakeModels) -> None:
    models.appoint(FIRST)
    challenger = Appointment("challenger", "cryptobot-ALL", "2", FIRST, "unproven")
    models.now = Lineup({**models.now.appointments, "challenger": challenger}, models.now.newest)
    catalogue.poll()
    assert catalogue.challenger() is None
    assert catalogue.listing()["models"][0]["aliases"] == ["challenger", "champion"]


def test_the_newest_version_is_of_the_latest_cutoff_then_of_the_highest_number() -> None:
    later = CUTOFF + timedelta(days=7)
    versions = [
        make_version(version="9", cutoff=later),
        make_version(version="10", cutoff=later),
        make_version(version="11"),
        LASSO,
    ]
    newest = newest_versions(versions)
    assert {name: version.version for name, version in newest.items()} == {"ridge": "10", "lasso": "5"}

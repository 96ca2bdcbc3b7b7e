"""What befalls a service at work: broken versions, a registry that hangs, workers killed outright."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil

from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.models.card import CARD_FILE
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets_tests.monitoring.expositions import series
from cryptobot_assets_tests.patience import PATIENCE_SECONDS
from cryptobot_assets_tests.serving.platform import Hammer, Service, train, wait_until

PASSED = {"promote": True, "reasons": ["better"]}
HANG_SECONDS = 3.0
"""Longer than the pause between two looks at the registry."""
LOST_SECONDS = 1.0
"""Before a kill, how old a reply may be that is not on disk."""


def truncate(folder: Path) -> None:
    """The model file breaks off."""
    model = folder / json.loads((folder / CARD_FILE).read_text())["model"]["file"]
    model.write_bytes(model.read_bytes()[: model.stat().st_size // 2])


def misremember(folder: Path) -> None:
    """The model's own example has another answer than the model gives."""
    card = json.loads((folder / CARD_FILE).read_text())
    card["warmup"]["predictions"][0] += 0.01
    (folder / CARD_FILE).write_text(json.dumps(card))


DAMAGES: dict[Callable[[Path], None], str] = {
    truncate: "is missing or damaged", misremember: "does not repeat its warm-up predictions",
}  # fmt: skip
"""What is done to a version, and the words of the service's log about it."""


def refuse_broken_versions(registry: Registry, samples: Samples, service: Service) -> None:
    """A champion that is broken does not serve; what served goes on, and three places tell it."""
    before = service.predict()["model"]
    for seed, (damage, words) in enumerate(DAMAGES.items(), 10):
        _, broken = train(registry, samples, seed=seed)
        damage(_folder(registry, broken))
        registry.promote(broken, alias="champion", verdict=PASSED)
        name = f"{broken.name} version {broken.version}"

        def told(name: str = name) -> bool:
            return name in str(service.client.get("/models").json()["registry"]["error"])

        wait_until(told, what=f"refusal of {name}")
        log = service.log.read_text()
        assert f"refused {name}" in log and words in log, log[-2000:]
        assert series(service.client.get("/metrics").text)["cryptobot_registry_faulty"] == 1
        assert service.predict()["model"]["version"] == before["version"]
        assert service.client.get("/readyz").status_code == 200


def answer_while_the_registry_hangs(database: Path, service: Service) -> None:
    """Nobody waits for a registry that gives no answer."""
    with closing(sqlite3.connect(database, isolation_level=None)) as held, Hammer(service) as hammer:
        held.execute("BEGIN EXCLUSIVE")
        time.sleep(HANG_SECONDS)
        wait_until(lambda: len(hammer.replies) > 20, what="replies")
        held.execute("ROLLBACK")
    assert hammer.failures == []


def kill_a_worker(spool: Path, service: Service) -> None:
    """The others go on, another takes its place, and what it answered is on disk but for the last second."""
    with Hammer(service) as hammer:
        under_load(hammer)
        wait_until(lambda: len(workers(spool)) == 2, what="answers of both workers")
        (killed, *others) = workers(spool)
        at = time.time()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(workers(spool) - {killed, *others}) == 1, what="another worker's answers")
    require_recorded(spool, hammer, until=at)


def kill_everything(spool: Path, service: Service) -> None:
    """The whole service ends at once under load, and what it answered is on disk but for the last second."""
    with Hammer(service) as hammer:
        under_load(hammer)
        at = time.time()
        os.killpg(service.process.pid, signal.SIGKILL)
        service.process.wait(PATIENCE_SECONDS)
    wait_until(lambda: not workers(spool), what="the end of every worker")
    require_recorded(spool, hammer, until=at)


def under_load(hammer: Hammer) -> None:
    """Return when some replies are older than what a kill may lose."""

    def loaded() -> bool:
        old = time.time() - LOST_SECONDS
        return sum(_served_at(reply["prediction_id"]) < old for reply in hammer.replies) > 20

    wait_until(loaded, what="load")


def workers(spool: Path) -> set[int]:
    """Workers that live and have answered: each names its files after itself."""
    named = {int(path.name.split("-")[1]) for path in spool.glob("*.jsonl")}
    return {pid for pid in named if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE}


def require_recorded(spool: Path, hammer: Hammer, *, until: float) -> None:
    """Nothing, when of the replies before an instant only those of its last moments are not on disk."""
    ids = {reply["prediction_id"] for reply in hammer.replies}
    due = {one for one in ids if _served_at(one) < until - LOST_SECONDS}
    later = {one for one in ids if _served_at(one) > until}
    assert len(due) > 20
    wait_until(lambda: (due | later) <= recorded(spool), what="the record of every reply")


def recorded(spool: Path) -> Collection[str]:
    """Ids of all whole lines of the spool."""
    lines = (line for file in spool.glob("*.jsonl") for line in file.read_text().splitlines(keepends=True))
    return {json.loads(line)["prediction_id"] for line in lines if line.endswith("\n")}


def _served_at(prediction_id: str) -> float:
    return int(prediction_id[:12], 16) / 1000


def _folder(registry: Registry, version: RegisteredVersion) -> Path:
    """Where a version's files lie."""
    uri = registry.client.get_model_version_download_uri(version.name, version.version)
    return Path(unquote(urlsplit(uri).path))

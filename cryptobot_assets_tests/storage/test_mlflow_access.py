"""A real MLflow that demands credentials: the service's account reads and serves, and changes nothing."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from werkzeug.security import generate_password_hash

from cryptobot_assets.cli.mlflow_server import mlflow_command
from cryptobot_assets.contracts.factories import START
from cryptobot_assets.errors import RegistryError
from cryptobot_assets.models.loading import load_scorer, warm_up
from cryptobot_assets.processes import Supervisor, free_port
from cryptobot_assets.serving.registry_models import RegistryModels
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.mlflow_access import ACCOUNTS, ADMIN, DATABASE, WRITER, Access, only_reads, open_access
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets_tests.conftest import MakeDatabase
from cryptobot_assets_tests.dashboard.registered import FEATURES, PASSED, register

pytestmark = pytest.mark.platform

CREATE = "/api/2.0/mlflow/users/create"
SEARCH = "/api/2.0/mlflow/registered-models/search"


@dataclass(frozen=True)
class Guarded:
    """A server that demands credentials, and what is registered behind it."""

    url: str
    access: Access
    version: RegisteredVersion
    log: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, mlflow_database: MakeDatabase) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    registry = Registry(mlflow_database(folder / "mlflow.db"), folder / "artifacts")
    settings = Settings.load(home=folder / "home")
    version = register(registry, cutoff=START, currencies=("BTCUSDT",))
    registry.promote(version, alias="champion", verdict=PASSED)
    access, port = open_access(settings.home), free_port()
    argv, environment = mlflow_command(settings, registry.tracking_uri, port, access=access)
    with Supervisor() as programs:
        child = programs.start(
            "MLflow",
            argv,
            env={**os.environ, **environment},
            log_path=folder / "mlflow.log",
            ready=f"http://127.0.0.1:{port}/health",
            timeout_seconds=200,
        )
        remember_reader(access.folder / DATABASE, "the password before")
        yield Guarded(f"http://127.0.0.1:{port}", access, version, child.log_path)


def remember_reader(database: Path, password: str) -> None:
    """Leave the reader's account as a start before this one made it, with a password since changed."""
    with closing(sqlite3.connect(database)) as connection, connection:
        row = ("reader", generate_password_hash(password), False)
        connection.execute("INSERT INTO users (username, password_hash, is_admin) VALUES (?, ?, ?)", row)


@pytest.fixture
def reader(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry as the service opens it."""
    for name, value in guarded.access.reader_environment(guarded.url).items():
        monkeypatch.setenv(name, value)
    return Registry(guarded.url)


def test_the_reader_reads_and_serves(guarded: Guarded, reader: Registry, tmp_path: Path) -> None:
    models = RegistryModels(reader.require_answer(), "ALL")
    lineup = models.lineup()
    champion = lineup.appointments["champion"].model
    assert (champion.version, champion.run_id) == (guarded.version.version, guarded.version.run_id)
    assert set(lineup.newest) == {"ridge"}
    scorer = warm_up(load_scorer(models.download(champion, tmp_path / "model")))
    assert np.isfinite(scorer.predict(np.zeros((1, len(FEATURES))))).all()
    assert reader.champion("BTCUSDT") is None, "what is not there is told as to anybody"


CHANGES: dict[str, Callable[[Any, RegisteredVersion], object]] = {
    "register a model": lambda client, version: client.create_registered_model("cryptobot-ALL-mine"),
    "register a version": lambda client, version: client.create_model_version(version.name, version.source_uri),
    "move an alias": lambda client, version: client.set_registered_model_alias("cryptobot-ALL", "champion", "1"),
    "take an alias away": lambda client, version: client.delete_registered_model_alias("cryptobot-ALL", "champion"),
    "tag a version": lambda client, version: client.set_model_version_tag(version.name, "1", "verdict", "passed"),
    "delete a version": lambda client, version: client.delete_model_version(version.name, "1"),
    "delete a model": lambda client, version: client.delete_registered_model(version.name),
    "make an experiment": lambda client, version: client.create_experiment("mine"),
    "log a metric": lambda client, version: client.log_metric(version.run_id, "oos_ic", 1.0),
    "delete a run": lambda client, version: client.delete_run(version.run_id),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_reader_changes_nothing(guarded: Guarded, reader: Registry, change: str) -> None:
    with pytest.raises(RegistryError, match="may not do this"), reader.plain_errors():
        CHANGES[change](reader.client, guarded.version)


def test_the_reader_makes_no_accounts_nor_takes_rights(guarded: Guarded) -> None:
    environment = guarded.access.reader_environment(guarded.url)
    account = (environment["MLFLOW_TRACKING_USERNAME"], environment["MLFLOW_TRACKING_PASSWORD"])
    with httpx.Client(base_url=guarded.url, auth=account, trust_env=False, timeout=30) as client:
        asked = {
            CREATE: {"username": "other", "password": "a long password"},
            "/ajax-api/2.0/mlflow/registered-models/create": {"name": "mine"},
            "/api/2.0/mlflow/users/update-admin": {"username": "reader", "is_admin": True},
        }
        for path, body in asked.items():
            method = "PATCH" if "update" in path else "POST"
            assert client.request(method, path, json=body).status_code == 403, path
        assert client.get(SEARCH).status_code == 200


def test_nobody_is_let_in_without_a_password(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    for account in (None, ("admin", "password1234"), (ADMIN, guarded.access.reader), ("reader", "the password before")):
        reply = httpx.get(guarded.url + SEARCH, auth=account, trust_env=False, timeout=30)
        assert reply.status_code == 401, account
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RegistryError, match="demands credentials: set MLFLOW_TRACKING_USERNAME"):
        Registry(guarded.url).require_answer()


def test_the_writer_changes_what_others_made_and_no_account(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", WRITER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", guarded.access.writer)
    registry = Registry(guarded.url)
    made = register(registry, cutoff=START, currencies=("BTCUSDT",))
    assert made.name == guarded.version.name and made.version == "2"
    registry.promote(guarded.version, alias="challenger", verdict=PASSED)
    assert registry.download(made, tmp_path / "model").is_dir()
    account = (WRITER, guarded.access.writer)
    body = {"username": "other", "password": "a long password"}
    refused = httpx.post(guarded.url + CREATE, json=body, auth=account, trust_env=False, timeout=30)
    assert refused.status_code == 403
    body = {"username": "person", "password": "a long password"}
    allowed = httpx.post(
        guarded.url + CREATE, json=body, auth=(ADMIN, guarded.access.admin), trust_env=False, timeout=30
    )
    assert allowed.status_code == 200, allowed.text


def test_passwords_are_for_their_owner_alone(guarded: Guarded, tmp_path: Path) -> None:
    again = open_access(guarded.access.folder.parent)
    assert again == guarded.access, "they are made once"
    assert stat.S_IMODE(again.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((again.folder / name).stat().st_mode) for name in (ACCOUNTS, "server.ini")} == {0o600}
    others = open_access(tmp_path)
    assert not {others.admin, others.writer, others.reader} & {again.admin, again.writer, again.reader}
    log = guarded.log.read_text()
    assert not any(password in log for password in (again.admin, again.writer, again.reader))


def test_given_passwords_count_and_others_stay(tmp_path: Path) -> None:
    first = open_access(tmp_path)
    second = open_access(tmp_path, {"reader": "a long password"})
    assert (second.reader, second.writer, second.admin) == ("a long password", first.writer, first.admin)
    assert open_access(tmp_path) == second


def test_what_only_reads_is_told_by_method_and_path() -> None:
    assert only_reads("GET", "/api/2.0/mlflow/registered-models/alias")
    assert only_reads("POST", "/api/2.0/mlflow/runs/search")
    for method in ("POST", "PATCH", "PUT", "DELETE"):
        assert not only_reads(method, "/api/2.0/mlflow/registered-models/alias")
    assert not only_reads("DELETE", "/api/2.0/mlflow/runs/search")

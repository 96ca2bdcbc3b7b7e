"""What of `deploy/` can be held to the code without starting anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cryptobot_assets.cli.run import SERVICES
from cryptobot_assets.cli.run_command import SERVICES as OFFERED
from cryptobot_assets.dagster_home import DAGSTER_YAML
from cryptobot_assets.secret_files import SECRETS
from cryptobot_assets.settings import Settings
from cryptobot_assets_tests.deploy.compose_file import DEPLOY, ROOT, read_compose

FOREIGN = {"edge", "postgres", "objects", "prometheus", "grafana"}
TOOLS = ("AWS_", "MLFLOW_", "POSTGRES_", "DAGSTER_")
MONITORS = {"PROMETHEUS_IMAGE", "GRAFANA_IMAGE"}
NO_SECRETS = {"CRYPTOBOT_STORE_URL", "MLFLOW_TRACKING_USERNAME"}
"""Variables that may be secret and are none here."""
OF_FILES = {"CRYPTOBOT_BUCKET", "CRYPTOBOT_CODE_HOST"}
"""Variables that Dagster's configuration files read, and no code of ours."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return read_compose({})


def locked(name: str) -> dict[str, str]:
    """Of a lock, each release with its hashes."""
    return dict(re.findall(r"^(\S+==\S+)(.*?)(?=^\S|\Z)", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL))


def test_the_image_installs_part_of_what_the_tests_ran_with() -> None:
    image, whole = locked("deploy/runtime.lock"), locked("requirements.lock")
    assert image.items() < whole.items(), "run make lock"


def test_dagster_is_configured_as_in_a_home() -> None:
    given = yaml.safe_load((DEPLOY / "dagster" / "dagster.yaml").read_text())
    assert given.pop("compute_logs")["class"] == "S3ComputeLogManager"
    assert given == yaml.safe_load(DAGSTER_YAML)


def test_prometheus_and_grafana_are_set_up_as_on_one_machine() -> None:
    here = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    there = yaml.safe_load((DEPLOY / "prometheus" / "compose.yml").read_text())
    assert {key: there[key] for key in ("global", "rule_files")} == {key: here[key] for key in ("global", "rule_files")}
    targets = {one["job_name"]: one["static_configs"][0]["targets"] for one in there["scrape_configs"]}
    assert targets.keys() == {one["job_name"] for one in here["scrape_configs"]}
    assert targets["cryptobot-service"] == ["predictions:3000"] and targets["cryptobot-pipeline"] == ["metrics:9120"]
    (given,) = yaml.safe_load((DEPLOY / "grafana" / "compose-datasource.yml").read_text())["datasources"]
    (file,) = (DEPLOY / "grafana" / "provisioning" / "datasources").iterdir()
    (known,) = yaml.safe_load(file.read_text())["datasources"]
    assert given == known | {"url": "http://prometheus:9090"}


def test_every_service_of_ours_is_there(compose: dict[str, Any]) -> None:
    assert tuple(SERVICES) == OFFERED
    elsewhere = json.loads((DEPLOY / "services.json").read_text())
    assert compose["services"].keys() == FOREIGN | SERVICES.keys()
    assert elsewhere.keys() == SERVICES.keys()
    for name in elsewhere:
        assert compose["services"][name]["command"] == elsewhere[name]["command"]
        assert compose["services"][name]["healthcheck"]["test"] == ["CMD", *elsewhere[name]["health"]]


def test_only_the_edge_is_published_and_on_this_machine_unless_told_otherwise(compose: dict[str, Any]) -> None:
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert published == {"edge": ["127.0.0.1:443:8443"]}
    networks = {name: set(one["networks"]) for name, one in compose["services"].items()}
    open_ones = {name for name, network in compose["networks"].items() if not network.get("internal")}
    assert {name for name, ones in networks.items() if ones & open_ones} == {"edge", "code"}
    assert "data" not in networks["edge"]


def test_every_container_is_held_tight(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert not service.get("privileged") and "docker.sock" not in str(service), name


def test_secrets_are_files_and_never_defaults(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            assert key not in SECRETS or key in NO_SECRETS, (name, key)
            if key.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"], (name, key)
        assert set(service.get("secrets", ())) <= compose["secrets"].keys(), name


def test_only_the_code_may_change_the_registry_and_who_reads_it_knows_no_database(compose: dict[str, Any]) -> None:
    given = {name: compose["services"][name]["environment"] for name in SERVICES}
    assert given["mlflow"]["CRYPTOBOT_MLFLOW_ACCESS"] == "true"
    accounts = {name: one["MLFLOW_TRACKING_USERNAME"] for name, one in given.items() if "MLFLOW_TRACKING_URI" in one}
    assert accounts == {"code": "writer", **dict.fromkeys(("predictions", "dashboard", "metrics"), "reader")}
    for name, account in accounts.items():
        assert given[name]["MLFLOW_TRACKING_PASSWORD_FILE"].endswith(f"/mlflow_{account}_password")
    held = {name: set(one.get("secrets", ())) for name, one in compose["services"].items()}
    assert {name for name, secrets in held.items() if "mlflow_writer_password" in secrets} == {"code", "mlflow"}
    keepers = {"code", "webserver", "daemon", "mlflow"}
    assert {name for name in SERVICES if {"s3_access_key", "s3_secret_key"} & held[name]} == keepers
    for name in accounts.keys() - keepers:
        assert given[name]["AWS_SECRET_ACCESS_KEY_FILE"] == "/run/secrets/s3_reader_secret_key"
    for name in ("predictions", "dashboard"):
        assert "metadata_url" not in held[name] and not any("CRYPTOBOT_METADATA" in key for key in given[name])


def test_every_variable_is_one_that_somebody_reads(compose: dict[str, Any]) -> None:
    known = {f"CRYPTOBOT_{name.upper()}" for name in Settings.model_fields} | OF_FILES
    for name in SERVICES:
        given = {key.removesuffix("_FILE") for key in compose["services"][name]["environment"]}
        assert {key for key in given if not key.startswith(TOOLS)} <= known, name


def test_secrets_are_drawn_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    def make() -> dict[str, str]:
        owner = str(tmp_path.stat().st_uid)
        subprocess.run([DEPLOY / "make-secrets", tmp_path / "secrets", owner], check=True, capture_output=True)
        return {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    first = make()
    assert first.keys() == {*read_compose({})["secrets"], "people_password"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (tmp_path / "secrets").iterdir())
    assert make() == first
    (tmp_path / "secrets" / "api_key").unlink()
    again = make()
    assert {name for name in first if first[name] != again[name]} == {"api_key"}
    assert len(first["api_key"]) == 43 and first["api_key"] not in first["metadata_url"]


def test_images_are_pinned_by_what_the_registry_says(tmp_path: Path) -> None:
    for name in ("pin-images", "compose.yaml"):
        shutil.copy(DEPLOY / name, tmp_path / name)
    registry = tmp_path / "docker"
    registry.write_text('#!/bin/sh\necho "sha256:$(echo "$4" | sha256sum | cut -c1-64)"\n')
    registry.chmod(0o755)
    for _ in range(2):
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        subprocess.run([tmp_path / "pin-images"], check=True, capture_output=True, env={**os.environ, **path})
    pins = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert pins.keys() == {"PYTHON_IMAGE", "NGINX_IMAGE", "POSTGRES_IMAGE", "SEAWEEDFS_IMAGE", *MONITORS}
    assert all(re.fullmatch(r"[a-z/]+@sha256:[0-9a-f]{64}", image) for image in pins.values()), pins
    used = read_compose(pins)["services"]["postgres"]["image"]
    assert used == pins["POSTGRES_IMAGE"]

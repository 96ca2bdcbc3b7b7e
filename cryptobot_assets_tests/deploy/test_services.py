"""One table of services (deploy/services.json): compose, Terraform, Kubernetes and Dagster's instances keep to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import process_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs
from dagster_aws.ecs import EcsRunLauncher

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVICES = json.loads((DEPLOY / "services.json").read_text())
KUBERNETES = DEPLOY / "kubernetes"
IN_CHART = {"code", "webserver", "daemon"}
"""Those that Dagster's own chart brings on Kubernetes."""
IN_PLATFORM = tuple(name for name in SERVICES if name not in IN_CHART)
MOST_OF_ECS = 8192
"""Characters that ECS takes as what a task is told beside its definition."""


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def manifest(service: str, kind: str) -> dict[str, Any]:
    return next(one for one in documents(KUBERNETES / "platform" / f"{service}.yaml") if one["kind"] == kind)


def container(service: str) -> dict[str, Any]:
    (one,) = manifest(service, "Deployment")["spec"]["template"]["spec"]["containers"]
    return one


@pytest.mark.parametrize("name", SERVICES)
def test_the_table_says_what_compose_starts(name: str) -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][name]
    assert SERVICES[name]["command"] == service["command"]
    assert ["CMD", *SERVICES[name]["health"]] == service["healthcheck"]["test"]
    port = SERVICES[name]["port"]
    assert port == 0 or str(port) in " ".join(service["healthcheck"]["test"])


def test_terraform_reads_the_table_and_knows_each_service() -> None:
    text = (DEPLOY / "terraform" / "aws" / "services.tf").read_text()
    assert 'jsondecode(file("${path.module}/../../services.json"))' in text
    values = dict(re.findall(r"^  (\w+) += (.*?)(?=^  \w+ +=|\Z)", text, re.MULTILINE | re.DOTALL))
    for name in ("sizes", "callers", "folders", "told", "secrets"):
        assert set(SERVICES) <= set(re.findall(r"^ +(\w+) +=", values[name], re.MULTILINE)), name


@pytest.mark.parametrize("name", IN_PLATFORM)
def test_kubernetes_starts_what_the_table_says(name: str) -> None:
    one = container(name)
    assert one["args"] == SERVICES[name]["command"]
    assert "command" not in one, "the image's own entry point"
    assert [port["containerPort"] for port in one["ports"]] == [SERVICES[name]["port"]]
    assert [port["port"] for port in manifest(name, "Service")["spec"]["ports"]] == [SERVICES[name]["port"]]


@pytest.mark.parametrize("name", IN_PLATFORM)
def test_a_container_may_do_little(name: str) -> None:
    pod, one = manifest(name, "Deployment")["spec"]["template"]["spec"], container(name)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 10001
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == set(one["resources"]["limits"])
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(one)
    written = {mount["mountPath"] for mount in one["volumeMounts"] if not mount.get("readOnly")}
    assert {"/tmp", "/var/lib/cryptobot"} <= written
    assert "valueFrom" not in str(one["env"]), "secrets are files"


def test_on_kubernetes_the_code_alone_may_change_the_registry() -> None:
    for name in IN_PLATFORM:
        given = {one["name"]: one["value"] for one in container(name)["env"]}
        if name == "mlflow":
            assert given["CRYPTOBOT_MLFLOW_ACCESS"] == "true"
        else:
            assert given["MLFLOW_TRACKING_USERNAME"] == "reader" and "writer" not in str(manifest(name, "Deployment"))
    values = yaml.safe_load((KUBERNETES / "dagster-values.yaml").read_text())
    (code,) = values["dagster-user-deployments"]["deployments"]
    given = {one["name"]: one["valueFrom"]["secretKeyRef"]["key"] for one in code["env"]}
    assert given["MLFLOW_TRACKING_PASSWORD"] == "mlflow_writer_password"
    assert "- MLFLOW_TRACKING_USERNAME=writer" in (KUBERNETES / "example" / "kustomization.yaml").read_text()


def test_on_aws_code_and_runs_alone_may_change_the_registry() -> None:
    text = (DEPLOY / "terraform" / "aws" / "services.tf").read_text()
    secrets = dict(re.findall(r"^    (\w+) += (.*)$", text[text.index("  secrets = {") :], re.MULTILINE))
    assert {name for name, value in secrets.items() if 'local.as["writer"]' in value} == {"code", "run"}
    assert {name for name, value in secrets.items() if 'local.as["reader"]' in value} == {
        "predictions",
        "dashboard",
        "metrics",
    }
    told = re.search(r"^    mlflow = \{\n(.*?)^    \}", text, re.MULTILINE | re.DOTALL)
    assert told and re.search(r'CRYPTOBOT_MLFLOW_ACCESS += "true"', told[1]) and "local.accounts" in secrets["mlflow"]


def test_every_service_has_a_network_policy_beside_the_one_that_forbids_all() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in documents(KUBERNETES / "platform" / "network.yaml")}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in IN_PLATFORM:
        (rule,) = policies[name]["ingress"]
        assert rule["from"] and [port["port"] for port in rule["ports"]] == [SERVICES[name]["port"]]


def built(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What a kustomization and those below it name: documents, and the outermost kustomization itself."""
    own = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found = []
    for name in own["resources"]:
        path = folder / name
        found += built(path)[0] if path.is_dir() else documents(path)
    maps = [{"kind": "ConfigMap", "metadata": {"name": one["name"]}} for one in own.get("configMapGenerator", ())]
    return found + maps, own


def test_nothing_that_the_example_names_is_missing() -> None:
    """`make checks` builds it with kubectl too, where there is one."""
    objects, own = built(KUBERNETES / "example")
    names = {(one["kind"], one["metadata"]["name"]) for one in objects}
    assert len(names) == len(objects)
    (image,) = own["images"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])
    for one in (one for one in objects if one["kind"] == "Deployment"):
        pod = one["spec"]["template"]["spec"]
        (only,) = pod["containers"]
        assert only["image"] == image["name"]
        assert ("ServiceAccount", pod["serviceAccountName"]) in names
        for source in only["envFrom"]:
            assert ("ConfigMap", source["configMapRef"]["name"]) in names
        for volume in pod["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
    values = yaml.safe_load((KUBERNETES / "dagster-values.yaml").read_text())
    (code,) = values["dagster-user-deployments"]["deployments"]
    assert code["port"] == SERVICES["code"]["port"]
    assert values["dagsterWebserver"]["service"]["port"] == SERVICES["webserver"]["port"]
    assert {("ConfigMap", one["name"]) for one in code["envConfigMaps"]} <= names
    assert {("PersistentVolumeClaim", one["persistentVolumeClaim"]["claimName"]) for one in code["volumes"]} <= names


def ecs_instance() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "dagster" / "ecs" / "dagster.yaml").read_text())


def test_the_instance_on_ecs_is_composes_with_a_launcher_of_tasks() -> None:
    launcher = ecs_instance().pop("run_launcher")
    assert {key: value for key, value in ecs_instance().items() if key != "run_launcher"} == yaml.safe_load(
        (DEPLOY / "dagster" / "dagster.yaml").read_text()
    )
    assert (launcher["module"], launcher["class"]) == (EcsRunLauncher.__module__.rpartition(".")[0], "EcsRunLauncher")
    checked = process_config(EcsRunLauncher.config_type(), launcher["config"])
    assert checked.success, checked.errors


def test_the_entry_point_takes_what_launchers_append(tmp_path: Path) -> None:
    """`dagster api ...` behind `cryptobot`, with options that are Dagster's own."""
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)[1])
    assert entry == ["cryptobot"]
    said = tmp_path / "dagster"
    said.write_text('#!/bin/sh\necho "$KEY" "$@"\n')
    said.chmod(0o755)
    told = subprocess.run(
        [sys.executable, "-m", "cryptobot_assets.cli.main", "dagster", "api", "grpc", "-h", "0.0.0.0", "--help"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KEY": "kept"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.split() == ["kept", "api", "grpc", "-h", "0.0.0.0", "--help"]


def test_what_a_run_is_told_fits_into_what_ecs_takes(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "dagster" / "ecs" / "dagster.yaml", tmp_path)
    pointer = ModuleCodePointer("cryptobot_assets.definitions", "defs", None)
    repository = RepositoryPythonOrigin(
        "/opt/cryptobot/.venv/bin/python",
        pointer,
        container_image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/cryptobot@sha256:" + 64 * "0",
        entry_point=["dagster"],
        container_context={},
    )
    arguments = ExecuteRunArgs(
        job_origin=JobPythonOrigin("__ASSET_JOB", repository),
        run_id="00000000-0000-0000-0000-000000000000",
        instance_ref=InstanceRef.from_dir(str(tmp_path)),
    )
    told = json.dumps({"containerOverrides": [{"name": "run", "command": arguments.get_command_args()}]})
    assert len(told) < MOST_OF_ECS * 3 / 4

"""The compose file for real: each service's own command, settings and health check, and what the edge lets in."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest
from botocore.exceptions import ClientError

from cryptobot_assets_tests.deploy.compose_file import DEPLOY
from cryptobot_assets_tests.deploy.conftest import Platform

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

PAGES = {"dagster": "/server_info", "mlflow": "/", "dashboard": "/", "prometheus": "/-/healthy"}
JOBS = ("cryptobot-service", "cryptobot-pipeline", "prometheus")
SOURCES = ("home", "store", "registry", "dagster")
"""What the metrics are read from."""
RUN_SECONDS = 300
CODE = "cryptobot_assets.definitions"
LAUNCH = """mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
LOGS = """query ($run: ID!) {
  logsForRun(runId: $run, limit: 1000) { ... on EventConnection { events { ... on LogsCapturedEvent { fileKey } } } }
}"""
CAPTURED = "query ($key: [String!]!) { capturedLogs(logKey: $key) { stderr } }"


def graphql(platform: Platform, query: str, **variables: Any) -> Any:
    """What Dagster answers a person."""
    body = {"query": query, "variables": variables}
    answer = platform.edge.ask("dagster", "/graphql", body=body, headers=platform.person)
    assert answer.status == 200, answer
    return json.loads(answer.text)["data"]


def test_pages_open_with_a_password_alone(platform: Platform) -> None:
    wrong = {"Authorization": "Basic YWRtaW46YWRtaW4="}
    for name, path in PAGES.items():
        for headers in ({}, wrong, platform.program):
            assert platform.edge.ask(name, path, headers=headers).status == 401, name
        answer = platform.edge.ask(name, path, headers=platform.person)
        assert answer.status == 200, (name, answer)


def test_predictions_open_with_a_key_alone(platform: Platform) -> None:
    ask = platform.edge.ask
    assert ask("predictions", "/livez").status == 200
    for headers in ({}, platform.person, {"X-API-Key": "key"}):
        assert ask("predictions", "/models", headers=headers).status == 401
    assert ask("predictions", "/models", headers=platform.program).status == 200
    refused = ask("predictions", "/predict", body={"currency": "BTCUSDT"}, headers=platform.program)
    assert refused.status == 503 and "no champion" in refused.text
    assert ask("predictions", "/metrics", headers=platform.program).status == 404


def test_prometheus_reads_service_and_platform(platform: Platform) -> None:
    deadline = time.monotonic() + RUN_SECONDS
    expected = {"up": ("job", JOBS), "cryptobot_source_up": ("source", SOURCES)}
    for figure, (label, names) in expected.items():
        while (found := asked(platform, figure, label)) != dict.fromkeys(names, "1"):
            assert time.monotonic() < deadline, found
            time.sleep(1)


def asked(platform: Platform, figure: str, label: str) -> dict[str, str]:
    """What Prometheus has of a figure, by a label's values."""
    answer = platform.edge.ask("prometheus", f"/api/v1/query?query={figure}", headers=platform.person)
    return {one["metric"][label]: one["value"][1] for one in json.loads(answer.text)["data"]["result"]}


def test_the_registry_opens_to_its_accounts_and_the_services_own_changes_nothing(platform: Platform) -> None:
    secret, url = platform.machine.secret, f"http://{platform.machine.address('mlflow')}:5000/api/2.0/mlflow/"
    accounts = {
        None: (401, 401),
        ("admin", "password1234"): (401, 401),
        ("reader", secret("mlflow_reader_password")): (200, 403),
        ("writer", secret("mlflow_writer_password")): (200, 200),
    }
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for account, expected in accounts.items():
            read = client.get("registered-models/search", auth=account)
            made = client.post("registered-models/create", json={"name": "cryptobot-ALL-mine"}, auth=account)
            assert (read.status_code, made.status_code) == expected, (account, made.text)
    deadline = time.monotonic() + RUN_SECONDS
    while "names no champion" not in (
        said := platform.edge.ask("predictions", "/models", headers=platform.program).text
    ):
        assert time.monotonic() < deadline, said
        time.sleep(0.5)


def test_what_reads_the_bucket_writes_nothing_into_it(platform: Platform) -> None:
    given = {name: platform.machine.environment(name) for name in ("code", "metrics")}
    keeper, reader = (
        boto3.client(
            "s3",
            endpoint_url=one["AWS_ENDPOINT_URL"],
            region_name=one["AWS_REGION"],
            aws_access_key_id=Path(one["AWS_ACCESS_KEY_ID_FILE"]).read_text().strip(),
            aws_secret_access_key=Path(one["AWS_SECRET_ACCESS_KEY_FILE"]).read_text().strip(),
        )
        for one in given.values()
    )
    keeper.put_object(Bucket="cryptobot", Key="lake/any", Body=b"as it was")
    assert reader.get_object(Bucket="cryptobot", Key="lake/any")["Body"].read() == b"as it was"
    for change in (reader.put_object, reader.delete_object):
        with pytest.raises(ClientError, match="AccessDenied"):
            change(Bucket="cryptobot", Key="lake/any")


def test_a_name_that_is_not_ours_gets_no_answer(platform: Platform) -> None:
    with pytest.raises(ConnectionError):
        platform.edge.ask("", "/", headers=platform.person)


def test_a_run_goes_from_the_page_to_the_code_and_its_logs_come_back(platform: Platform) -> None:
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": CODE,
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": ["store_maintenance"]}],
        "assetCheckSelection": [],
    }
    launched = graphql(platform, LAUNCH, selector=selector)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = launched["run"]["runId"]
    deadline = time.monotonic() + RUN_SECONDS
    while (status := graphql(platform, STATUS, run=run)["runOrError"]["status"]) not in ("SUCCESS", "FAILURE"):
        assert time.monotonic() < deadline, (status, platform.children["daemon"].output()[-3000:])
        time.sleep(0.5)
    assert status == "SUCCESS", platform.children["code"].output()[-3000:]
    events = graphql(platform, LOGS, run=run)["logsForRun"]["events"]
    (key,) = {event["fileKey"] for event in events if event.get("fileKey")}
    captured = graphql(platform, CAPTURED, key=[run, "compute_logs", key])["capturedLogs"]
    assert "store_maintenance" in captured["stderr"]


def test_services_listen_where_the_file_says_and_write_only_where_they_may(platform: Platform) -> None:
    machine = platform.machine
    containers = {machine.address(name) for name in machine.services}
    found: dict[str, set[tuple[str, int]]] = {}
    for name, child in platform.children.items():
        for process in psutil.Process(child.guard.pid).children(recursive=True):
            for one in process.net_connections(kind="inet"):
                if one.status == psutil.CONN_LISTEN:
                    found.setdefault(name, set()).add((one.laddr.ip.removeprefix("::ffff:"), one.laddr.port))
    inside = {"127.0.0.1"}
    assert {address for places in found.values() for address, _ in places} <= containers | inside, found
    assert found["edge"] == {(machine.address("edge"), 8443)}
    assert "daemon" not in found
    written = {path.name for path in machine.place("", "/opt/dagster").iterdir()}
    assert written == {path.name for path in (DEPLOY / "dagster").iterdir()}

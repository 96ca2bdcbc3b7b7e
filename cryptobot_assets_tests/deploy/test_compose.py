"""The compose file for real: each service's own command, settings and health check, and what the edge lets in."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from cryptobot_assets_tests.deploy.conftest import Platform

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

PAGES = {"dagster": "/server_info", "mlflow": "/", "dashboard": "/"}
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

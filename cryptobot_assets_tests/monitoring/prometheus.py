"""Debian's Prometheus over a few targets, for the length of a block."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cryptobot_assets_tests.patience import PATIENCE_SECONDS
from cryptobot_assets_tests.programs import require_program
from cryptobot_assets_tests.serving.platform import free_port

SCRAPE_SECONDS = 1


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    client: httpx.Client

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series an expression gives now; fails with Prometheus' own words where it is none."""
        reply = self.client.get("/api/v1/query", params={"query": expression})
        assert reply.status_code == 200, f"{expression}: {reply.text}"
        return reply.json()["data"]["result"]

    def query_until_there(self, expression: str) -> list[dict[str, Any]]:
        """The same, asked again for a while where it is nothing: a target that was too slow is read anew."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := self.query(expression)) and time.monotonic() < deadline:
            time.sleep(SCRAPE_SECONDS)
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Every rule it has loaded."""
        groups = self.client.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def running_prometheus(folder: Path, jobs: Mapping[str, int], rules: Path) -> Iterator[Prometheus]:
    """Scrape ports of this machine by name of the job; begins when each was read twice."""
    port, program = free_port(), require_program("prometheus", "prometheus")
    scrapes = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]} for job, at in jobs.items()]
    every = f"{SCRAPE_SECONDS}s"
    told = {"global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": "1s"}}
    config = folder / "prometheus.yml"  # JSON is YAML
    config.write_text(json.dumps({**told, "rule_files": [f"{rules}/*.yml"], "scrape_configs": scrapes}))
    argv = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*argv, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS, trust_env=False) as client:
            prometheus = Prometheus(client)
            wait_for_scrapes(prometheus, len(jobs), folder / "prometheus.log")
            yield prometheus
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def wait_for_scrapes(prometheus: Prometheus, jobs: int, log: Path) -> None:
    """Return when every job was read twice, which a rate takes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            read = prometheus.query("sum_over_time(up[1m]) >= 2")
            if len(read) == jobs:
                return
        except (httpx.TransportError, AssertionError):
            read = []
        assert time.monotonic() < deadline, f"{read}\n{log.read_text()[-2000:]}"
        time.sleep(0.1)

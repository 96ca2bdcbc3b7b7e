"""The platform of the compose file, brought up once for all tests of it."""

from __future__ import annotations

import math
import os
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cryptobot_assets.processes import Child, Supervisor
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets_tests.deploy.compose_file import Machine, in_order, read_compose
from cryptobot_assets_tests.deploy.edge import Edge
from cryptobot_assets_tests.programs import require_program

PATIENCE_SECONDS = 700
LOOK_SECONDS = 0.2
NOBODY = "http://127.0.0.1:9"
ELSEWHERE = {"postgres": "the embedded one", "grafana": "no package of Debian or PyPI has it"}
VARIABLES = {"CRYPTOBOT_EXCHANGE_URL": NOBODY, "CRYPTOBOT_SERVICE_WORKERS": "1", "CRYPTOBOT_CURRENCIES": "BTCUSDT"}


@dataclass(frozen=True)
class Platform:
    """The services, each well by its own health check."""

    machine: Machine
    children: dict[str, Child]
    edge: Edge

    @property
    def person(self) -> dict[str, str]:
        """What a person's browser sends once the password was typed."""
        pair = f"admin:{self.machine.secret('people_password')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    @property
    def program(self) -> dict[str, str]:
        """What a program that has the key sends."""
        return {"Authorization": f"Bearer {self.machine.secret('api_key')}"}


@pytest.fixture(scope="session")
def nginx() -> str:
    """The reverse proxy; where everything is required its absence is a failure, else the test is skipped."""
    return require_program("nginx", "nginx")


@pytest.fixture(scope="module")
def platform(nginx: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Everything of the compose file that runs here; PostgreSQL is the embedded one."""
    folder = tmp_path_factory.mktemp("compose")
    network = f"127.{64 + os.getpid() % 64}.{os.getpid() // 64 % 256}"
    machine = Machine(folder, network, read_compose(VARIABLES))
    machine.prepare_image()
    with EmbeddedPostgres(folder / "postgres") as server, Supervisor() as programs:
        machine.place("", "/run/secrets/metadata_url").write_text(server.url("postgres"))
        edge = Edge(machine.address("edge"), machine.place("", "/run/secrets/tls_certificate"))
        yield Platform(machine, bring_up(machine, programs), edge)


def bring_up(machine: Machine, programs: Supervisor) -> dict[str, Child]:
    """Start every service but those of `ELSEWHERE` as soon as those it waits for are well; return when all are.

    Each is looked at as often as the file says of its start, and not before it listens.
    """
    children: dict[str, Child] = {}
    well, looks = set(ELSEWHERE), dict.fromkeys(machine.services, math.inf)
    deadline = time.monotonic() + PATIENCE_SECONDS
    wanted = in_order(machine.services, machine.services)
    while set(wanted) - well:
        for name in wanted:
            if name not in children and name not in well and may_start(machine, name, children, well):
                machine.prepare(name)
                children[name] = programs.start(
                    name, machine.command(name), env=machine.environment(name),
                    log_path=machine.folder / f"{name}.log", cwd=machine.place(name, "/tmp"),
                )  # fmt: skip
                looks[name] = time.monotonic() + machine.look_seconds(name)
        assert not programs.poll(), [children[name].failure("ended") for name in programs.poll()]
        for name in children.keys() - well:
            if looks[name] <= time.monotonic() and machine.listens(name):
                well |= {name} if machine.is_well(name) else set()
                looks[name] = time.monotonic() + machine.look_seconds(name)
        assert time.monotonic() < deadline, {name: children[name].output()[-2000:] for name in set(children) - well}
        time.sleep(LOOK_SECONDS)
    return children


def may_start(machine: Machine, name: str, started: dict[str, Child], well: set[str]) -> bool:
    """Whether what a service depends on is as far as the compose file wants it."""
    waits = machine.services[name].get("depends_on", {})
    return all(
        other in (well if how["condition"] == "service_healthy" else {*started, *well}) for other, how in waits.items()
    )

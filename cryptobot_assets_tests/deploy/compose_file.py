"""The compose file read as an engine reads it, and its services as processes of this machine.

Each service gets a loopback address of its own (127.x.y.n), which stands for its name and for every
address inside its container, so that ports stay what the file says and nothing meets anything else.
Folders of containers become folders below one directory.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cryptobot_assets_tests.patience import PATIENCE_SECONDS
from cryptobot_assets_tests.storage.s3_server import free_ports

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
PLACES = (
    "/tmp", "/run/secrets", "/opt/dagster", "/var/lib/cryptobot", "/etc/cryptobot", "/etc/prometheus", "/prometheus",
    "/data",
)  # fmt: skip
"""Folders inside containers that are other folders here."""
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """`deploy/compose.yaml`, its anchors merged and its variables filled in."""

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, str):
            return VARIABLE.sub(lambda found: variables.get(found[1]) or found[2] or "", value)
        return value

    return filled(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def read_image() -> tuple[list[str], dict[str, str]]:
    """Entrypoint and environment of the image's last stage."""
    joined = re.sub(r"\\\n\s*(?:#.*\n\s*)*", "", (DEPLOY / "Dockerfile").read_text())
    last = joined[joined.rindex("\nFROM ") :].splitlines()
    entrypoint = next(json.loads(line.removeprefix("ENTRYPOINT ")) for line in last if line.startswith("ENTRYPOINT "))
    pairs = [pair for line in last if line.startswith("ENV ") for pair in shlex.split(line.removeprefix("ENV "))]
    return entrypoint, dict(pair.split("=", 1) for pair in pairs)


def in_order(services: Mapping[str, Any], wanted: Iterable[str]) -> list[str]:
    """The services, each after those it depends on."""
    order: list[str] = []

    def add(name: str) -> None:
        for other in services[name].get("depends_on", {}):
            if other in services:
                add(other)
        if name not in order:
            order.append(name)

    for name in wanted:
        add(name)
    return order


@dataclass
class Machine:
    """This machine as the host of the services.

    Attributes:
        folder: where the containers' folders are.
        network: the first three numbers of the services' addresses.
    """

    folder: Path
    network: str
    compose: dict[str, Any]

    @property
    def services(self) -> dict[str, Any]:
        return self.compose["services"]

    def address(self, name: str) -> str:
        """The loopback address of a service."""
        return f"{self.network}.{sorted(self.services).index(name) + 1}"

    def place(self, name: str, path: str) -> Path:
        """A folder or file inside a service's container."""
        shared = path.startswith(("/run/secrets", "/opt", "/var/lib/cryptobot"))
        return self.folder / ("shared" if shared else name) / path.lstrip("/")

    def spell(self, name: str, text: str) -> str:
        """Text of a service's configuration with addresses and folders as they are here."""
        names, places = "|".join(self.services), "|".join(map(re.escape, PLACES))
        pattern = "|".join(
            (
                rf"(?<![\w.])(?P<host>{names})(?=:\d)",
                rf"(?<==)(?P<name>{names})$",
                rf"(?<![\w./])(?P<path>{places})(?![\w.])",
                r"0\.0\.0\.0|127\.0\.0\.1",
            )
        )
        ours = {"host": self.address, "name": self.address, "path": lambda value: str(self.place(name, value))}

        def here(found: re.Match[str]) -> str:
            return ours[found.lastgroup](found[0]) if found.lastgroup else self.address(name)

        return re.sub(pattern, here, text)

    def argv(self, name: str, words: list[str]) -> list[str]:
        """A command of a service as it is started here."""
        return [self.spell(name, word) for word in words]

    def command(self, name: str) -> list[str]:
        """Entrypoint and command of a service."""
        service, (entrypoint, _) = self.services[name], read_image()
        words = self.argv(name, [*service.get("entrypoint", entrypoint), *service["command"]])
        if name == "edge" and os.getuid() == 0:
            words[-1] += " user root;"  # it would go on as a user who may not read the secrets of this one
        if name == "objects":  # its sockets in /tmp are named by these ports alone
            kinds = ("master", "volume", "filer", "s3")
            words += [f"-{kind}.port.grpc={port}" for kind, port in zip(kinds, free_ports(4), strict=True)]
        return words

    def environment(self, name: str) -> dict[str, str]:
        """All variables of a service's processes."""
        given = {**read_image()[1], **self.services[name].get("environment", {})}
        spelled = {
            key: self.address(value) if value in self.services else self.spell(name, str(value))
            for key, value in given.items()
        }
        path = os.pathsep.join([str(BIN), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
        return {**spelled, "PATH": path, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.place(name, "/tmp"))}

    def prepare(self, name: str) -> None:
        """Make the folders of a service and put the files there that the compose file mounts."""
        for path in ("/tmp", *(one.split(":")[1] for one in self.services[name].get("volumes", []))):
            if not Path(path).suffix:
                self.place(name, path).mkdir(parents=True, exist_ok=True)
        for volume in self.services[name].get("volumes", []):
            source, target = volume.split(":")[:2]
            if source.startswith("./"):
                there = self.place(name, target)
                there.parent.mkdir(parents=True, exist_ok=True)
                if (DEPLOY / source).is_dir():
                    shutil.copytree(DEPLOY / source, there, dirs_exist_ok=True)
                else:
                    there.write_text(self.spell(name, (DEPLOY / source).read_text()))

    def prepare_image(self) -> None:
        """Secrets, made by the script, and what the image brings."""
        secrets = self.folder / "shared" / "run" / "secrets"
        made = [str(DEPLOY / "make-secrets"), str(secrets), str(os.getuid())]
        subprocess.run(made, check=True, capture_output=True, env={**os.environ, "CRYPTOBOT_DOMAIN": "localhost"})
        shutil.copytree(DEPLOY / "dagster", self.folder / "shared" / "opt" / "dagster")

    def secret(self, name: str) -> str:
        """The value of a secret."""
        return self.place("", f"/run/secrets/{name}").read_text().strip()

    def look_seconds(self, name: str) -> float:
        """Seconds between two looks at a service that starts; a second where the file says nothing of that."""
        return float(self.services[name]["healthcheck"].get("start_interval", "1s").removesuffix("s"))

    def listens(self, name: str) -> bool:
        """Whether something listens on the port that a service's health check names, where it names one."""
        port = re.search(r"(?::|--port )(\d+)", " ".join(self.services[name]["healthcheck"]["test"]))
        if port is None:
            return True
        with socket.socket() as probe:
            return probe.connect_ex((self.address(name), int(port[1]))) == 0

    def is_well(self, name: str) -> bool:
        """Whether a service's own health check says so."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        argv, environment = self.argv(name, words), self.environment(name)
        try:
            return subprocess.run(argv, env=environment, capture_output=True, timeout=PATIENCE_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:  # on a machine with much else to do
            return False

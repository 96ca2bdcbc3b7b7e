"""Access control of the MLflow server that `cryptobot up` runs: its accounts, and how it is started with them.

Two accounts are made once and kept below the home, where only their owner reads them:

    admin    the person who runs the platform: everything, in MLflow's own pages too
    reader   the prediction service, the dashboard and the exporter: see `mlflow_gate`

What Dagster runs (training, promotion) goes to the registry's database itself and needs no account.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import requests

from cryptobot_assets.errors import RegistryError

FOLDER = "mlflow-access"
ACCOUNTS, DATABASE, CONFIGURATION = "accounts.json", "accounts.db", "server.ini"
ADMIN, READER = "admin", "reader"
GATE = "cryptobot_assets.storage.mlflow_gate:authenticate"
CACHE_SECONDS = 60
"""Checking a password takes half a second: one that was right is not checked again for so long."""
ASK_SECONDS = 30
SAFE = ("GET", "HEAD", "OPTIONS")
SEARCHES = ("/search", "/get-history-bulk")
"""Ends of the paths of requests that are sent by POST and only read."""
CREATE = "/api/2.0/mlflow/users/create"


@dataclass(frozen=True)
class Access:
    """Passwords of the two accounts, the key of the server's sessions, and the folder that holds all of it."""

    folder: Path
    admin: str
    reader: str
    session_key: str

    def server_options(self) -> list[str]:
        """Arguments of `mlflow server` that make it demand credentials."""
        return ["--app-name", "basic-auth"]

    def server_environment(self) -> dict[str, str]:
        """Variables of the server's process."""
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / CONFIGURATION),
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.admin,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self.session_key,
        }

    def reader_environment(self, url: str) -> dict[str, str]:
        """Variables by which a process reads the registry behind the server at `url`."""
        return {
            "MLFLOW_TRACKING_URI": url,
            "MLFLOW_TRACKING_USERNAME": READER,
            "MLFLOW_TRACKING_PASSWORD": self.reader,
        }


def open_access(home: Path) -> Access:
    """The accounts of a home, made where there are none.

    Raises:
        RegistryError: MLflow knows accounts whose passwords are gone.
    """
    folder = home / FOLDER
    path = folder / ACCOUNTS
    if not path.is_file():
        if (folder / DATABASE).exists():
            raise RegistryError(f"{path} is gone, and with it the passwords: delete {folder} to make accounts anew")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = {name: secrets.token_urlsafe(24) for name in (ADMIN, READER, "session_key")}
        _write(path, json.dumps(made, indent=1))
    held = json.loads(path.read_text())
    access = Access(folder, held[ADMIN], held[READER], held["session_key"])
    _write(folder / CONFIGURATION, _configuration(folder))
    return access


def ensure_reader(url: str, access: Access) -> None:
    """Make the reader's account at the server that answers at `url`, unless there is one.

    Raises:
        RegistryError: the server refuses.
    """
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (ADMIN, access.admin)
        body = {"username": READER, "password": access.reader}
        reply = session.post(f"{url}{CREATE}", json=body, timeout=ASK_SECONDS)
    if reply.status_code != 200 and "RESOURCE_ALREADY_EXISTS" not in reply.text:
        raise RegistryError(f"MLflow at {url} made no account for reading: HTTP {reply.status_code} {reply.text[:200]}")


def only_reads(method: str, path: str) -> bool:
    """Whether such a request changes nothing."""
    return method in SAFE or (method == "POST" and path.rstrip("/").endswith(SEARCHES))


def _configuration(folder: Path) -> str:
    """What MLflow's accounts may do where nothing else is said, where they are kept, and who lets them in."""
    database = str(folder / DATABASE).replace("%", "%%")  # a percent sign is the format's own
    return (
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = sqlite:///{database}\n"
        f"authorization_function = {GATE}\n"
        f"auth_cache_ttl_seconds = {CACHE_SECONDS}\n"
    )


def _write(path: Path, text: str) -> None:
    """Write a file that its owner alone reads; readers see all of it or none."""
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)

"""Access control of the platform's MLflow server: its accounts, and how it is started with them.

Three accounts, whose passwords are given by the settings or drawn once, and kept below the server's home, where
only their owner reads them:

    admin    the person who runs the platform: everything, other accounts too
    writer   what trains and promotes, where it goes through the server: all models and runs, no account
    reader   the prediction service, the dashboard and the exporter: see `mlflow_gate`

Under `cryptobot up` what Dagster runs goes to the registry's database itself and needs no account.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = "mlflow-access"
ACCOUNTS, DATABASE, CONFIGURATION = "accounts.json", "accounts.db", "server.ini"
ADMIN, WRITER, READER = "admin", "writer", "reader"
SESSION_KEY = "session_key"
GATE = "cryptobot_assets.storage.mlflow_gate:authenticate"
CACHE_SECONDS = 60
"""Checking a password takes half a second: one that was right is not checked again for so long."""
SAFE = ("GET", "HEAD", "OPTIONS")
SEARCHES = ("/search", "/get-history-bulk")
"""Ends of the paths of requests that are sent by POST and only read."""


@dataclass(frozen=True)
class Access:
    """Passwords of the three accounts, the key of the server's sessions, and the folder that holds all of it."""

    folder: Path
    admin: str
    writer: str
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


def open_access(home: Path, given: Mapping[str, str] | None = None) -> Access:
    """The accounts of a home: with the passwords `given` by an account's name, else those drawn once.

    What stands in the folder's file is what the server takes, from its next start on (`mlflow_gate`).
    """
    folder = home / FOLDER
    path = folder / ACCOUNTS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = read_accounts(folder) if path.is_file() else {}
    drawn = {name: secrets.token_urlsafe(24) for name in (ADMIN, WRITER, READER, SESSION_KEY)}
    accounts = {name: {**drawn, **held, **(given or {})}[name] for name in drawn}
    if accounts != held:
        _write(path, json.dumps(accounts, indent=1))
    _write(folder / CONFIGURATION, _configuration(folder))
    return Access(folder, accounts[ADMIN], accounts[WRITER], accounts[READER], accounts[SESSION_KEY])


def read_accounts(folder: Path) -> dict[str, str]:
    """Passwords by account, and the key of the sessions, as the folder's file has them."""
    return dict(json.loads((folder / ACCOUNTS).read_text()))


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

"""`cryptobot run`: one service of the platform in the foreground, as containers and units start it.

The services of a platform share PostgreSQL and a store, and may each be on a machine of its own:
nothing is embedded, and nothing is started beside the one that is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cryptobot_assets.cli.console import say
from cryptobot_assets.cli.mlflow_server import mlflow_command
from cryptobot_assets.dashboard.command import dashboard_command
from cryptobot_assets.errors import ProcessError, UsageError
from cryptobot_assets.home import require_whole_home, require_writable_home
from cryptobot_assets.serving.command import service_command
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import metadata_urls
from cryptobot_assets.storage.mlflow_access import open_access

ASKING = ("predictions", "dashboard")
"""Services that need no database's address when they are told where the registry is."""
MODULE = ("-m", "cryptobot_assets.definitions")
Command = tuple[list[str], dict[str, str]]


@dataclass(frozen=True)
class Listening:
    """Where a service listens, and the workspace file of the two that read one; None for the code itself."""

    host: str
    port: int
    workspace: Path | None


def run_service(settings: Settings, name: str, *, host: str, port: int | None, workspace: Path | None) -> NoReturn:
    """Become the service of that name; this process is the service's from then on.

    Raises:
        UsageError: no such service, or no server for its bookkeeping is named.
        StoreError: that server does not answer.
    """
    if settings.metadata_url is None and not (name in ASKING and settings.mlflow_tracking_uri):
        raise UsageError("set CRYPTOBOT_METADATA_URL: services that run each for itself share a PostgreSQL server")
    require_whole_home(require_writable_home(settings.home))
    make, default_port = SERVICES[name]
    listening = Listening(host, port or default_port(settings), workspace or settings.workspace)
    argv, extra = make(settings, listening)
    say(f"{name} at {host}:{listening.port}" if listening.port else name)
    os.execve(argv[0], argv, {**os.environ, **extra})


def require_daemon(settings: Settings) -> None:
    """Nothing, when Dagster's daemon works.

    Raises:
        ProcessError: a part of it has not been heard of for minutes.
    """
    from cryptobot_assets.dagster_home import deployment_environment, silent_daemons

    os.environ.update(deployment_environment(settings))
    silent = silent_daemons()
    if silent:
        raise ProcessError(f"Dagster's daemon does not work: nothing heard of {', '.join(silent)}")


def _code(settings: Settings, listening: Listening) -> Command:
    place = ["--host", listening.host, "--port", str(listening.port)]
    return _python("dagster", "code-server", "start", *MODULE, *place), _dagster(settings)


def _webserver(settings: Settings, listening: Listening) -> Command:
    place = ["--host", listening.host, "--port", str(listening.port)]
    return _python("dagster_webserver", *_workspace(listening), *place), _dagster(settings)


def _daemon(settings: Settings, listening: Listening) -> Command:
    return _python("dagster._daemon", "run", *_workspace(listening)), _dagster(settings)


def _mlflow(settings: Settings, listening: Listening) -> Command:
    access = open_access(settings.home, settings.mlflow_passwords) if settings.mlflow_access else None
    database = metadata_urls(settings).mlflow
    return mlflow_command(settings, database, listening.port, host=listening.host, access=access)


def _predictions(settings: Settings, listening: Listening) -> Command:
    return service_command(settings, listening.port, host=listening.host)


def _dashboard(settings: Settings, listening: Listening) -> Command:
    argv, extra = dashboard_command(settings, listening.port, host=listening.host)
    address = settings.mlflow_tracking_uri or metadata_urls(settings).mlflow
    return argv, extra | {"MLFLOW_TRACKING_URI": address}


def _metrics(settings: Settings, listening: Listening) -> Command:
    argv = _python("cryptobot_assets.cli.main", "metrics", "--host", listening.host)
    return argv, {"CRYPTOBOT_METRICS_PORT": str(listening.port)}


def _workspace(listening: Listening) -> list[str]:
    return list(MODULE) if listening.workspace is None else ["--workspace", str(listening.workspace)]


def _dagster(settings: Settings) -> dict[str, str]:
    """What Dagster's processes find in their environment, once their instance is ready for them."""
    from cryptobot_assets.dagster_home import deployment_environment, open_instance

    environment = deployment_environment(settings)
    with open_instance(settings):
        return environment


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


SERVICES: dict[str, tuple[Callable[[Settings, Listening], Command], Callable[[Settings], int]]] = {
    "code": (_code, lambda settings: settings.code_port),
    "webserver": (_webserver, lambda settings: settings.webserver_port),
    "daemon": (_daemon, lambda settings: 0),
    "mlflow": (_mlflow, lambda settings: settings.mlflow_port),
    "predictions": (_predictions, lambda settings: settings.service_port),
    "dashboard": (_dashboard, lambda settings: settings.dashboard_port),
    "metrics": (_metrics, lambda settings: settings.metrics_port),
}
"""Each by its name: how its process is made, and its port (0: it listens nowhere)."""

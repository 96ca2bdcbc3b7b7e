"""`cryptobot up`: the platform on one machine, one child process a service."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from cryptobot_assets.cli.console import say
from cryptobot_assets.cli.market import archive_beside, exchange_of
from cryptobot_assets.cli.mlflow_server import mlflow_command
from cryptobot_assets.code_server import CodeServer, code_server
from cryptobot_assets.dagster_home import open_instance
from cryptobot_assets.dashboard.command import HEALTH, dashboard_command
from cryptobot_assets.home import require_writable_home
from cryptobot_assets.processes import Supervisor, free_port, require_free_port
from cryptobot_assets.serving.command import service_command
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import release_metadata
from cryptobot_assets.storage.mlflow_access import ACCOUNTS, Access, open_access

WITHHELD = ("CRYPTOBOT_DAGSTER_DATABASE", "CRYPTOBOT_METADATA_URL", "CRYPTOBOT_MLFLOW_WRITER_PASSWORD")
"""Variables by which Dagster's and MLflow's bookkeeping can be changed."""


def run_up(settings: Settings) -> None:
    """Start everything, say where it answers, and stay until Ctrl-C or until a service dies."""
    require_writable_home(settings.home)
    ports = {
        "webserver": require_free_port(settings.webserver_port, "Dagster", setting="CRYPTOBOT_WEBSERVER_PORT"),
        "mlflow": require_free_port(settings.mlflow_port, "MLflow", setting="CRYPTOBOT_MLFLOW_PORT"),
        "service": require_free_port(settings.service_port, "the prediction service", setting="CRYPTOBOT_SERVICE_PORT"),
        "dashboard": require_free_port(settings.dashboard_port, "the dashboard", setting="CRYPTOBOT_DASHBOARD_PORT"),
        "metrics": require_free_port(settings.metrics_port, "the metrics", setting="CRYPTOBOT_METRICS_PORT"),
    }
    try:
        with open_instance(settings):
            environment = {**os.environ, "CRYPTOBOT_AUTOMATION": runs_by_itself(settings)}
        with code_server() as code, Supervisor() as supervisor:
            url, title = exchange_of(settings, supervisor, port=free_port())
            environment["CRYPTOBOT_EXCHANGE_URL"] = url
            environment["CRYPTOBOT_ARCHIVE_URL"] = archive_beside(settings, url)
            say(f"{'Exchange':<20}{url} ({title})")
            _start_services(settings, supervisor, code, environment, ports)
            say("Everything is up. Ctrl-C stops it.")
            supervisor.wait()
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        release_metadata(settings)


def _start_services(
    settings: Settings, supervisor: Supervisor, code: CodeServer, environment: dict[str, str], ports: dict[str, int]
) -> None:
    logs = settings.home / "logs"

    def start(name: str, argv: list[str], ready: str | None, url: str, env: dict[str, str]) -> None:
        supervisor.start(
            name,
            argv,
            env=env,
            ready=ready,
            log_path=logs / f"{name.lower().replace(' ', '-')}.log",
            timeout_seconds=180,
        )
        say(f"{name:<20}{url}")

    code.start(supervisor, env=environment, log_path=logs / "code-server.log")
    workspace = ["--workspace", str(code.workspace)]
    dagster = f"http://127.0.0.1:{ports['webserver']}"
    start(
        "Dagster",
        [*_python("dagster_webserver"), *workspace, "--host", "127.0.0.1", "--port", str(ports["webserver"])],
        f"{dagster}/server_info",
        dagster,
        environment,
    )
    start(
        "Dagster daemon", [*_python("dagster._daemon"), "run", *workspace], None, "schedules and backfills", environment
    )
    reading, readers = _start_mlflow(settings, environment, ports["mlflow"], start)
    argv, extra = service_command(reading, ports["service"])
    service = f"http://127.0.0.1:{ports['service']}"
    start("Prediction service", argv, f"{service}/livez", service, readers | extra)
    argv, extra = dashboard_command(reading, ports["dashboard"])
    dashboard = f"http://127.0.0.1:{ports['dashboard']}"
    start("Dashboard", argv, f"{dashboard}{HEALTH}", dashboard, readers | extra)
    metrics = f"http://127.0.0.1:{ports['metrics']}/metrics"
    start("Metrics", [*_python("cryptobot_assets.cli.main"), "metrics"], metrics, metrics, environment | readers)


def _start_mlflow(
    settings: Settings, environment: dict[str, str], port: int, start: Callable[..., None]
) -> tuple[Settings, dict[str, str]]:
    """Start MLflow; returns the settings and variables of what only reads the registry."""
    url = f"http://127.0.0.1:{port}"
    access = open_access(settings.home, settings.mlflow_passwords) if settings.mlflow_access else None
    argv, extra = mlflow_command(settings, environment["MLFLOW_TRACKING_URI"], port, access=access)
    told = url if access is None else f"{url} (accounts: {access.folder / ACCOUNTS})"
    start("MLflow", argv, f"{url}/health", told, environment | extra)
    if access is None:
        return settings, environment
    return as_reader(settings, environment, access, url)


def as_reader(
    settings: Settings, environment: dict[str, str], access: Access, url: str
) -> tuple[Settings, dict[str, str]]:
    """Settings and variables of what only reads the registry, and is given the addresses of no database."""
    kept = {name: value for name, value in environment.items() if name not in WITHHELD}
    reading = settings.model_copy(update={"mlflow_tracking_uri": url, "metadata_url": None})
    return reading, kept | access.reader_environment(url)


def runs_by_itself(settings: Settings) -> str:
    """Setting of the automation: what was said, and that it runs when nothing was."""
    return str(settings.automation or "automation" not in settings.model_fields_set).lower()


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]

"""How the dashboard is started; importing this costs nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from cryptobot_assets.settings import Settings

SCRIPT = Path(__file__).with_name("views") / "app.py"
SERVER = "cryptobot_assets.dashboard.views.serve"
HEALTH = "/_stcore/health"
HERE = "127.0.0.1"

OPTIONS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "runner.magicEnabled": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "type",
    "client.showErrorLinks": "false",
    "logger.hideWelcomeMessage": "true",
}
"""Streamlit's own settings: nothing told to anyone, no file watched."""

HOSTS = (HERE, "localhost")
"""Names a browser may call it by: no other page can rebind its own name to this machine."""


def dashboard_command(settings: Settings, port: int, *, host: str = HERE) -> tuple[list[str], dict[str, str]]:
    """Arguments, and the variables to add to the environment, of the dashboard's process.

    It listens on this machine alone unless `host` says otherwise, and ends on SIGTERM. What else the
    deployment sets (`MLFLOW_TRACKING_URI`, `AWS_*`) is inherited as it is.
    """
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    options += [f"--server.allowedHosts={name}" for name in (*HOSTS, *settings.dashboard_hosts)]
    place = [f"--server.address={host}", f"--server.port={port}"]
    argv = [sys.executable, "-m", SERVER, "run", str(SCRIPT), *place, *options]
    return argv, {"CRYPTOBOT_HOME": str(settings.home)}

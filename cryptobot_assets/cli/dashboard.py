"""`cryptobot dashboard`: the dashboard alone."""

from __future__ import annotations

import os

from cryptobot_assets.cli.console import say
from cryptobot_assets.dashboard.command import HEALTH, dashboard_command
from cryptobot_assets.home import require_writable_home
from cryptobot_assets.processes import Supervisor, require_free_port
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import metadata_urls, release_metadata


def run_dashboard(settings: Settings) -> None:
    """Start it, say where it answers, and stay until Ctrl-C or until it dies."""
    home = require_writable_home(settings.home)
    port = require_free_port(settings.dashboard_port, "the dashboard", setting="CRYPTOBOT_DASHBOARD_PORT")
    argv, extra = dashboard_command(settings, port)
    url = f"http://127.0.0.1:{port}"
    try:
        extra["MLFLOW_TRACKING_URI"] = settings.mlflow_tracking_uri or metadata_urls(settings).mlflow
        with Supervisor() as supervisor:
            supervisor.start(
                "Dashboard",
                argv,
                env=os.environ | extra,
                ready=f"{url}{HEALTH}",
                log_path=home / "logs" / "dashboard.log",
            )
            say(f"{'Dashboard':<20}{url}")
            supervisor.wait()
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        release_metadata(settings)

"""The command that becomes one service of the platform."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cryptobot_assets.settings import Settings

SERVICES = ("code", "webserver", "daemon", "mlflow", "predictions", "dashboard", "metrics")


@click.command()
@click.argument("service", type=click.Choice(SERVICES), metavar="SERVICE")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Default as the settings say.")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Dagster's workspace file, for webserver and daemon; default CRYPTOBOT_WORKSPACE.",
)
def run(service: str, host: str, port: int | None, workspace: Path | None) -> None:
    """Run one service in the foreground, for containers and service managers; `up` runs them all.

    SERVICE is code, webserver, daemon, mlflow, predictions, dashboard or metrics.
    It needs CRYPTOBOT_METADATA_URL, a PostgreSQL server that the services share.
    """
    from cryptobot_assets.cli.run import run_service

    run_service(Settings.load(), service, host=host, port=port, workspace=workspace)


@click.command()
def alive() -> None:
    """Exit with 0 when Dagster's daemon has lately said that all its parts work; for health checks."""
    from cryptobot_assets.cli.run import require_daemon

    require_daemon(Settings.load())


@click.command(
    hidden=True,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def dagster(arguments: tuple[str, ...]) -> None:
    """Become Dagster's own command line.

    Run launchers and Dagster's chart give a container nothing but `dagster api ...`, which follows the image's entry
    point; so they too find the secrets that lie in files.
    """
    os.execvp("dagster", ["dagster", *arguments])

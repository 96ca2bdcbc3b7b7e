"""The subcommands of `cryptobot cluster`."""

from __future__ import annotations

import click

from cryptobot_assets.cli.console import say
from cryptobot_assets.settings import Settings


@click.group()
def cluster() -> None:
    """Workers that heavy steps are spread over, here or on other machines (CRYPTOBOT_CLUSTER_URL)."""


@cluster.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need TLS.")
@click.option("--port", default=8786, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
def scheduler(host: str, port: int) -> None:
    """Hand work to workers, until Ctrl-C. One a deployment."""
    from cryptobot_assets.cluster import run_scheduler

    run_scheduler(Settings.load(), host, port, say)


@cluster.command()
@click.option("--host", help="Address of this machine that the others reach; default the one that leads there.")
def worker(host: str | None) -> None:
    """Work for the scheduler that CRYPTOBOT_CLUSTER_URL names, until Ctrl-C; start one a core.

    It reads and writes the store by its own settings, which must be those of the run.
    """
    from cryptobot_assets.cluster import run_worker

    run_worker(Settings.load(), host, say)

"""The commands that keep stores safe: copy, backup and restore."""

from __future__ import annotations

import click

from cryptobot_assets.errors import UsageError
from cryptobot_assets.settings import Settings


@click.command()
@click.argument("from_url")
@click.argument("to_url")
def copy(from_url: str, to_url: str) -> None:
    """Copy every table of one store into another: a directory, s3://bucket/prefix or postgresql://...

    Run again, or after an interruption, it writes only what differs. Other rows of the target stay.
    """
    from cryptobot_assets.cli.copy import run_copy

    run_copy(Settings.load(), from_url, to_url)


@click.command()
@click.option("--to", "to_url", help="A directory or s3://bucket/prefix; default CRYPTOBOT_BACKUP_URL.")
@click.option("--list", "listed", is_flag=True, help="List the backups there instead.")
@click.option("--verify", "verified", is_flag=True, help="Read and check every byte of the backups there instead.")
def backup(to_url: str | None, listed: bool, verified: bool) -> None:
    """Back up the store, the bookkeeping of Dagster and MLflow, and the registered models, as of one instant.

    Only what the place does not have yet is written. Running services need not stop.
    """
    from cryptobot_assets.cli.backup import run_backup, run_list, run_verify

    if listed and verified:
        raise UsageError("--list and --verify are two commands")
    (run_list if listed else run_verify if verified else run_backup)(Settings.load(), to_url)


@click.command()
@click.argument("from_url", metavar="FROM")
@click.option("--at", "name", help="Name of the backup, as `cryptobot backup --list` shows it; default the newest.")
@click.option("--only", type=click.Choice(["store", "home"]), help="The store alone, or the home and its bookkeeping.")
@click.option("--replace", is_flag=True, help="Restore over what the store and the home hold.")
def restore(from_url: str, name: str | None, only: str | None, replace: bool) -> None:
    """Restore a backup into the store and the home that the settings name. Stop `cryptobot up` first.

    The backup is checked before anything is touched. Cut short, it may be run again.
    """
    from cryptobot_assets.cli.restore import run_restore

    run_restore(Settings.load(), from_url, name, only=only, replace=replace)

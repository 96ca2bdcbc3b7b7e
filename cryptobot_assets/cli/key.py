"""`cryptobot key`: makes, lists and revokes the keys of the prediction service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cryptobot_assets.errors import UsageError
from cryptobot_assets.serving.keys import make_key, read_keys, revoke_key
from cryptobot_assets.settings import Settings


@click.group()
def key() -> None:
    """Keys of the prediction service, in the file that CRYPTOBOT_API_KEYS_FILE names.

    The service reads the file again within a second of a change. To renew a key, make one of another name, hand it
    over, and revoke the old one.
    """


@key.command(name="new")
@click.argument("name")
def new_command(name: str) -> None:
    """Make a key for NAME and print it, once: the file holds its hash alone."""
    click.echo(make_key(_file(), name, datetime.now(UTC)))


@key.command(name="list")
def list_command() -> None:
    """List the names of the keys and when each was made."""
    for one in read_keys(_file()):
        click.echo(f"{one.name:<40} {one.made_at}")


@key.command(name="revoke")
@click.argument("name")
def revoke_command(name: str) -> None:
    """Revoke the key of NAME: within a second it opens nothing."""
    revoke_key(_file(), name)


def _file() -> Path:
    path = Settings.load().api_keys_file
    if path is None:
        raise UsageError("name the file of the keys first: CRYPTOBOT_API_KEYS_FILE=/a/file.json, for the service too")
    return path

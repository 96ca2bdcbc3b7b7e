"""`cryptobot copy`."""

from __future__ import annotations

from cryptobot_assets.cli.console import Stage, say
from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.copying import copy_store
from cryptobot_assets.storage.postgres_address import shown
from cryptobot_assets.storage.store import TABLES, open_store_at


def run_copy(settings: Settings, from_url: str, to_url: str) -> None:
    """Copy every table of one store into another, with progress."""
    if from_url.rstrip("/") == to_url.rstrip("/"):
        raise UsageError("the two addresses are one store")
    source, target = (open_store_at(url, s3_endpoint=settings.s3_endpoint) for url in (from_url, to_url))
    held = sum(int(source.query(f"SELECT count(*) AS rows FROM {name}")["rows"][0]) for name in TABLES)
    if not held:
        raise StoreError(f"nothing is stored at {shown(from_url)}")
    with Stage(f"Copy {shown(from_url)} to {shown(to_url)}", held).running() as stage:
        copied = copy_store(source, target, stage)
    say("  " + ", ".join(f"{rows:,} {name}" for name, rows in copied.items()))

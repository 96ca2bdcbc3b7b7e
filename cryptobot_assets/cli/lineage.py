"""`cryptobot lineage`: from a served prediction back to the klines it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cryptobot_assets.settings import Settings

if TYPE_CHECKING:
    from cryptobot_assets.lineage import Step


@click.command()
@click.argument("prediction_id")
@click.option("--currency", help="Which currency of a reply that ranks several; default the first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def lineage(prediction_id: str, currency: str | None, as_json: bool) -> None:
    """Where a served prediction came from, step by step.

    From the reply to the model's version, its trial, the training set with its version of the store, the
    indicators and the klines, with the Dagster and MLflow runs that made them and the code's commit.
    PREDICTION_ID is the `prediction_id` of a reply.
    """
    run_lineage(Settings.load(), prediction_id, currency, as_json=as_json)


def run_lineage(settings: Settings, prediction_id: str, currency: str | None, *, as_json: bool) -> None:
    """Print every step back from a prediction.

    Raises:
        UsageError: no prediction has this id.
    """
    from cryptobot_assets.cli.console import say
    from cryptobot_assets.dagster_home import open_instance
    from cryptobot_assets.errors import UsageError
    from cryptobot_assets.lineage import trace
    from cryptobot_assets.resources import open_registry
    from cryptobot_assets.storage.metadata import release_metadata
    from cryptobot_assets.storage.served_spool import FOLDER, find_served
    from cryptobot_assets.storage.store import open_store
    from cryptobot_assets.universe import open_partitions

    store = open_store(settings)
    rows = find_served(store, settings.home / FOLDER, prediction_id)
    if rows.is_empty():
        raise UsageError(
            f"no prediction {prediction_id} was served from {settings.home}: take the `prediction_id` of a reply, "
            "and CRYPTOBOT_HOME and CRYPTOBOT_STORE_URL as the service has them"
        )
    try:
        with open_instance(settings) as instance:
            partitions = open_partitions(settings).live(instance)
            registry = open_registry(settings)
            steps = trace(
                rows, registry=registry, store=store, instance=instance, partitions=partitions, currency=currency
            )
    finally:
        release_metadata(settings)
    if as_json:
        parts = {_key(one.what): {_key(name): value for name, value in one.facts.items()} for one in steps}
        say(json.dumps(parts, indent=2))
        return
    for line in told(steps):
        say(line)


def told(steps: Sequence[Step]) -> list[str]:
    """The steps as lines, each below the one it led to."""
    lines = []
    for depth, one in enumerate(steps):
        lines.append(f"{'  ' * depth}{'<- ' if depth else ''}{one.what}")
        inside = "  " * depth + ("     " if depth else "  ")
        known = {name: value for name, value in one.facts.items() if value is not None}
        width = max(map(len, known), default=0)
        lines += [f"{inside}{name:{width}}  {_text(value)}" for name, value in known.items()]
    return lines


def _key(words: str) -> str:
    """Words as a key of JSON."""
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items()) or "none"
    if isinstance(value, list):
        return " to ".join(map(_text, value))
    return f"{value:,}" if isinstance(value, int) else str(value)

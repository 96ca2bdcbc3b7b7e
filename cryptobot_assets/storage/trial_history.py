"""The daily skill of every tuning trial, as trainings keep it beside their models."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion

TRIAL_DAYS = "trial_days.csv"


def read_trial_days(
    registry: Registry, versions: Sequence[RegisteredVersion], cache: Path
) -> Mapping[str, pl.DataFrame]:
    """Trials of every version by its run: columns day, trial_<n>; a version that kept none is absent.

    Args:
        cache: folder where they are kept, since a training's never change.
    """
    found = {}
    for version in versions:
        held = cache / f"{version.run_id}.csv"
        if not held.is_file():
            content = registry.read_table(version, TRIAL_DAYS)
            if content is None:
                continue
            _keep(held, content)
        found[version.run_id] = pl.read_csv(held, try_parse_dates=True)
    return found


def _keep(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
        part.write(content)
    Path(part.name).replace(file)

"""`cryptobot retrain`."""

from __future__ import annotations

from cryptobot_assets.assets.retraining import retrain
from cryptobot_assets.cli.console import Stage, say
from cryptobot_assets.errors import RegistryError
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import release_metadata
from cryptobot_assets.storage.store import open_store


def run_retrain(settings: Settings, name: str, number: str) -> None:
    """Train a registered version again from its tags, and say whether it came out the same.

    Raises:
        RegistryError: it predicts otherwise.
    """
    try:
        registry = open_registry(settings)
        version = registry.version(name, number)
        trials = int(version.tags.get("trials", settings.trials))
        with Stage(f"Train {version.uri} again", trials).running() as progress:
            done = retrain(version, open_store(settings), registry, settings, progress)
    finally:
        release_metadata(settings)
    rows = len(done.training_set.samples)
    say(f"  {done.training_set.store_version}: {rows:,} rows as of {version.cutoff:%Y-%m-%d}")
    if done.differing:
        then, now = (commit[:10] for commit in done.commits)
        raise RegistryError(
            f"{version.uri} came out otherwise: {done.differing:,} of {rows:,} predictions differ, by up to "
            f"{done.largest:.3g}: code {then} trained it, {now} did again; libraries or machine may be others too"
        )
    say(f"  {version.uri} came out the same: {rows:,} predictions, bit for bit")

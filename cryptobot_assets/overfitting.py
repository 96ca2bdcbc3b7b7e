"""What all tuning trials of a market leave of each algorithm's out-of-sample record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptobot_assets.domain.evaluation import Evaluation
from cryptobot_assets.domain.trial_days import Overfitting, overfitting
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.trial_history import read_trial_days

CACHE = "trial-cache"


def overfitting_of(
    registry: Registry, settings: Settings, market: str, evaluations: Sequence[Evaluation]
) -> Mapping[str, Overfitting]:
    """By algorithm, beside all trials of all versions of the market; absent where there is too little to tell."""
    versions = registry.versions(market)
    days = read_trial_days(registry, versions, settings.home / CACHE)
    newest = [days[version.run_id] for version in _newest(versions) if version.run_id in days]
    found = {one.algorithm: overfitting(one.score.skill, list(days.values()), newest) for one in evaluations}
    return {name: one for name, one in found.items() if one is not None}


def _newest(versions: Sequence[RegisteredVersion]) -> list[RegisteredVersion]:
    """One version an algorithm, of the newest cutoff of all; they come sorted by cutoff and number."""
    last = max((version.cutoff for version in versions), default=None)
    return list({version.algorithm: version for version in versions if version.cutoff == last}.values())

"""The members of an ensemble: what was tuned for the same market as of the same cutoff."""

from __future__ import annotations

import json
from datetime import datetime

from cryptobot_assets.assets.warm_start import knows_the_holdout
from cryptobot_assets.errors import NoModel
from cryptobot_assets.models.algorithms import ALGORITHMS, features_of
from cryptobot_assets.models.ensemble import joint, members_of
from cryptobot_assets.models.preparation import search_space
from cryptobot_assets.models.starting_point import StartingPoint
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import TUNED

FEWEST = 2


def members_start(
    registry: Registry, market: str, algorithm: str, cutoff: datetime, settings: Settings
) -> StartingPoint:
    """The tuned values of an ensemble's members, of the newest version of each as of this very cutoff.

    A member that has none, or none that the holdout is hidden from, is left out.

    Raises:
        NoModel: fewer than two members are left.
    """
    found = {name: _tuned(registry, market, name, cutoff, settings) for name in members_of(ALGORITHMS[algorithm])}
    found = {name: start for name, start in found.items() if start.values}
    if len(found) < FEWEST:
        raise NoModel(
            f"{algorithm} is the mean of at least {FEWEST} algorithms trained for {market} as of {cutoff:%Y-%m-%d}, "
            f"and there are {len(found)}: train some of {', '.join(members_of(ALGORITHMS[algorithm]))} first"
        )
    return StartingPoint(
        joint({name: start.values for name, start in found.items()}),
        tuple(source for start in found.values() for source in start.sources),
        joint({name: start.left_out for name, start in found.items()}),
    )


def _tuned(registry: Registry, market: str, member: str, cutoff: datetime, settings: Settings) -> StartingPoint:
    space = search_space(ALGORITHMS[member], features_of(member))
    for version in reversed([one for one in registry.versions(market, member) if one.cutoff == cutoff]):
        tags = registry.run_tags(version)
        if TUNED in tags and not knows_the_holdout(version, tags, settings):
            return StartingPoint.of(space, json.loads(tags[TUNED]), version.uri)
    return StartingPoint()

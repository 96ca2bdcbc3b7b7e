"""Where a tuning begins: with the values of the newest version whose cutoff lies before its own.

cutoffs   1 ------- 8 ------- 15          the tuning as of 15 begins with what was tuned as of 8,
          values    values -->            never with a version of the same cutoff or a later one
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from cryptobot_assets.domain.intervals import day_start, parse_day
from cryptobot_assets.models.algorithms import ALGORITHMS, features_of
from cryptobot_assets.models.preparation import search_space
from cryptobot_assets.models.starting_point import NOWHERE, StartingPoint
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import TRAINING_SETTINGS, TUNED, RegisteredVersion


def warm_start(registry: Registry, market: str, algorithm: str, cutoff: datetime, settings: Settings) -> StartingPoint:
    """The starting point of a tuning as of a cutoff; nowhere where no earlier version is, or settings say so.

    A version that was tuned on outcomes of the holdout is passed over.
    """
    if not settings.warm_start:
        return NOWHERE
    earlier = [one for one in registry.versions(market, algorithm) if one.cutoff < cutoff]
    for version in reversed(earlier):
        tags = registry.run_tags(version)
        if TUNED in tags and not knows_the_holdout(version, tags, settings):
            space = search_space(ALGORITHMS[algorithm], features_of(algorithm))
            return StartingPoint.of(space, json.loads(tags[TUNED]), version.uri)
    return NOWHERE


def knows_the_holdout(version: RegisteredVersion, tags: Mapping[str, str], settings: Settings) -> bool:
    """Whether a version was trained on outcomes that nothing may read now.

    Args:
        tags: those of its run.
    """
    if settings.holdout_from is None or version.cutoff <= day_start(settings.holdout_from):
        return False
    locked = json.loads(tags.get(TRAINING_SETTINGS, "{}")).get("holdout_from")
    return locked is None or parse_day(locked) > settings.holdout_from

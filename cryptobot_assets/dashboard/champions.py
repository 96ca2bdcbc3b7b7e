"""Who serves, who served before, and why: what the registry remembers of a market's promotions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptobot_assets.report import champion_part
from cryptobot_assets.storage.registry import Registry


@dataclass(frozen=True)
class Promotion:
    """One promotion: when (UTC, ISO), to which alias, of what, with which verdict and reasons, and by whom."""

    time: str
    alias: str
    algorithm: str
    version: str
    cutoff: str
    verdict: str
    reasons: tuple[str, ...]
    by: str


@dataclass(frozen=True)
class Reign:
    """A market's champion as the report tells it (None where there is none), and all promotions, newest first."""

    champion: Mapping[str, Any] | None
    promotions: tuple[Promotion, ...]
    trained: int


def reign(registry: Registry, market: str) -> Reign:
    """What the registry says of a market."""
    champion = registry.champion(market)
    events = [
        Promotion(
            time=event["time"],
            alias=event["alias"],
            algorithm=version.algorithm,
            version=version.source_version,
            cutoff=f"{version.cutoff:%Y-%m-%d}",
            verdict=event["verdict"],
            reasons=tuple(event["reasons"]),
            by=f"{event['by']}: {event['reason']}" if "by" in event else "the gate",
        )
        for version in registry.promoted(market)
        for event in version.promotions
    ]
    return Reign(
        champion=champion_part(champion) if champion else None,
        promotions=tuple(sorted(events, key=lambda one: (one.time, one.alias), reverse=True)),
        trained=len(registry.versions(market)),
    )

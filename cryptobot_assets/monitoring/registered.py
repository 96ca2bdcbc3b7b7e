"""What the registry tells: who is champion and since when, how old models are, what they were worth out of sample.

Aliases are looked at every time. Versions and evaluations, which take longer to list, are read again
when an alias has moved, and every few minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from cryptobot_assets.monitoring.families import Figure
from cryptobot_assets.monitoring.stored import told_costs
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.registry_runs import evaluated_runs

REREAD_SECONDS = 300.0
EVALUATED = {
    "oos_rows": "cryptobot_evaluation_rows",
    "oos_ic": "cryptobot_evaluation_ic",
    "oos_ic_low": "cryptobot_evaluation_ic_low",
    "oos_ic_high": "cryptobot_evaluation_ic_high",
    "oos_accuracy": "cryptobot_evaluation_accuracy_ratio",
    "oos_base_rate": "cryptobot_evaluation_base_rate_ratio",
    "oos_interval_coverage": "cryptobot_evaluation_interval_coverage_ratio",
    "oos_pool_value_gross": "cryptobot_pool_value_gross_ratio",
}
AFTER_COSTS = {
    "oos_pool_value_net": "cryptobot_pool_value_net_ratio",
    "oos_pool_value_net_low": "cryptobot_pool_value_net_low_ratio",
    "oos_pool_value_net_high": "cryptobot_pool_value_net_high_ratio",
    "oos_control_net": "cryptobot_pool_control_net_ratio",
}
"""Metric of a version's run by name, and the exporter's; these depend on what trading costs."""


class RegistryWatch:
    """Reads what the registry holds of some markets."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        markets: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._markets = tuple(markets)
        self._clock = clock
        self._held: dict[str, tuple[str | None, float, list[Figure]]] = {}

    def __call__(self) -> list[Figure]:
        """Every figure of the registry; raises `RegistryError` when it does not answer."""
        return [figure for market in self._markets for figure in self._of(market)]

    def _of(self, market: str) -> list[Figure]:
        champion = self._registry.champion(market)
        identity = None if champion is None else f"{champion.version} {champion.tags.get('promotions', '')}"
        held = self._held.get(market)
        if held is None or held[0] != identity or self._clock() - held[1] >= REREAD_SECONDS:
            figures = [*self._versions(market), *self._evaluations(market)]
            held = self._held[market] = (identity, self._clock(), figures)
        return [*(champion_figures(champion) if champion else ()), *held[2]]

    def _versions(self, market: str) -> list[Figure]:
        by_algorithm: dict[str, list[RegisteredVersion]] = {}
        for version in self._registry.versions(market):
            by_algorithm.setdefault(version.algorithm, []).append(version)
        found = []
        for algorithm, versions in by_algorithm.items():
            named = {"market": market, "algorithm": algorithm}
            newest = max(version.cutoff for version in versions)
            found.append(Figure("cryptobot_model_versions", len(versions), named))
            found.append(Figure("cryptobot_model_cutoff_timestamp_seconds", newest.timestamp(), named))
        promoted = [event for one in self._registry.promoted(market) for event in one.promotions]
        champions = sum(event["alias"] == "champion" for event in promoted)
        return [*found, Figure("cryptobot_champion_promotions", champions, {"market": market})]

    def _evaluations(self, market: str) -> Iterable[Figure]:
        costs = told_costs(self._settings)
        for algorithm, metrics in evaluated_runs(self._registry, market).items():
            named = {"market": market, "algorithm": algorithm}
            yield from _named(metrics, EVALUATED, named)
            yield from _named(metrics, AFTER_COSTS, named | {"cost_bps": costs})
            if metrics.get("oos_mse_zero"):
                yield Figure("cryptobot_evaluation_mse_ratio", metrics["oos_mse"] / metrics["oos_mse_zero"], named)


def champion_figures(champion: RegisteredVersion) -> list[Figure]:
    """Who reigns in a market, since when, and by whose decision."""
    named = {"market": champion.market}
    info = named | {
        "algorithm": champion.algorithm,
        "version": champion.source_version,
        "verdict": champion.verdict or "unproven",
    }
    found = [
        Figure("cryptobot_champion_info", 1, info),
        Figure("cryptobot_champion_version", float(champion.version), named),
        Figure("cryptobot_champion_passed", 1 if champion.verdict == "passed" else 0, named),
        Figure("cryptobot_champion_overridden", 1 if champion.override else 0, named),
        Figure("cryptobot_champion_cutoff_timestamp_seconds", champion.cutoff.timestamp(), named),
    ]
    since = [datetime.fromisoformat(one["time"]) for one in champion.promotions if one["alias"] == "champion"]
    if since:
        found.append(Figure("cryptobot_champion_since_timestamp_seconds", max(since).timestamp(), named))
    return found


def _named(metrics: Mapping[str, float], names: Mapping[str, str], labels: Mapping[str, str]) -> list[Figure]:
    return [Figure(names[name], metrics[name], labels) for name in names if name in metrics]

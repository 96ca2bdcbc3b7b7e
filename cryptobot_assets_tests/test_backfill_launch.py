"""Launching a backfill stays quick: Dagster lists all that depends on each partition of it, and groups it into runs."""

from __future__ import annotations

import dagster as dg
import pytest

from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)

DAY = "2020-06-01"
MOST_DEPENDENTS = 60
"""Of a partition: 20 currencies x 1,000 days then take the webserver half a minute."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    names = ",".join(f"C{number:03}USDT" for number in range(25))
    return Settings.load(home=tmp_path_factory.mktemp("home"), currencies=names, start_day="2017-08-17")


def dependents(graph: dg.AssetGraph, parent: str, partition: str) -> dict[str, int]:
    """By asset that depends on the parent with a mapping of partitions: how many of its depend on this one."""
    key = dg.AssetKey(parent)
    definition = graph.get(key).partitions_def
    found = {}
    for child in graph.get(key).child_keys:
        mapping = graph.get_partition_mapping(child, key)
        if graph.get(child).partitions_def and not isinstance(mapping, dg.AllPartitionMapping):
            subset = mapping.get_downstream_partitions_for_partitions(
                definition.subset_with_partition_keys([partition]), definition, graph.get(child).partitions_def
            )
            found[child.to_user_string()] = len(subset)
    return found


@pytest.mark.parametrize("layer", ["klines", "indicators", "predictions"])
def test_a_partition_has_few_dependents(layer: str, settings: Settings) -> None:
    graph = build_definitions(settings).resolve_asset_graph()
    for group in Partitions(settings).groups:
        found = dependents(graph, group.asset(layer), f"{group.currencies[-1]}|{DAY}")
        assert sum(found.values()) <= MOST_DEPENDENTS, found


@pytest.mark.parametrize(("currencies", "days", "runs"), [(20, 30, 20), (20, 10, 10), (1, 400, 1), (3, 3, 3)])
def test_a_backfill_longer_than_it_is_wide_is_a_run_a_currency(
    currencies: int, days: int, runs: int, settings: Settings
) -> None:
    partitions = Partitions(settings)
    group = partitions.groups[0]
    definition = partitions.market_data(group)
    spans = partitions.spans.get_partition_keys()[-days:]
    chosen = [f"{currency}|{day}" for currency in group.currencies[:currencies] for day in spans]
    ranges = definition.subset_with_partition_keys(chosen).get_partition_key_ranges(definition)
    found = sorted((str(one.start), str(one.end)) for one in ranges)
    if days > currencies:
        assert found == [(f"{name}|{spans[0]}", f"{name}|{spans[-1]}") for name in group.currencies[:currencies]]
    assert len(found) == runs

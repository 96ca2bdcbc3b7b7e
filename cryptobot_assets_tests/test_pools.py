"""Assets that read the exchange or write much name their pool; each pool named has a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.pools import EXCHANGE, LIMITS, STORE
from cryptobot_assets.settings import Settings

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)

POOLS = {"klines": {EXCHANGE}, "indicators": {STORE}, "predictions": {STORE}}


def test_assets_name_pools_that_have_limits(tmp_path: Path) -> None:
    graph = build_definitions(Settings.load(home=tmp_path, currencies="BTCUSDT")).resolve_asset_graph()
    pools = {node.key.to_user_string(): node.pools for node in graph.asset_nodes if node.pools}
    assert pools.items() >= POOLS.items()
    assert set().union(*pools.values()) == set(LIMITS)


def test_what_reads_the_exchange_names_a_pool(tmp_path: Path) -> None:
    graph = build_definitions(Settings.load(home=tmp_path, currencies="BTCUSDT")).resolve_asset_graph()
    readers = [node for node in graph.asset_nodes if "history" in node.assets_def.required_resource_keys]
    assert [node.key.to_user_string() for node in readers if not node.pools] == []
    assert readers

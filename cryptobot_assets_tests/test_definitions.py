"""What Dagster loads: assets, their partitions, jobs and schedules, as people and other systems know them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from cryptobot_assets.definitions import build_definitions, defs
from cryptobot_assets.partitions import GROUP_SIZES, Partitions
from cryptobot_assets.settings import Settings

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)

SPANS = {"1m": "day", "1h": "month"}
CURRENCIES = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
MODELS = (
    "bayesianridge_model", "catboost_model", "elasticnet_model", "huber_model",
    "lasso_model", "lassolars_model", "ridge_model", "xgboost_model",
)  # fmt: skip
MARKET_DATA, MODEL, MARKET = ("currency", "span"), ("cutoff", "market"), ("market",)
ASSETS = {
    "klines": ("market_data", MARKET_DATA, ()),
    "indicators": ("features", MARKET_DATA, ("klines",)),
    **dict.fromkeys(MODELS, ("training", MODEL, ("indicators",))),
    "predictions": ("evaluation", MARKET_DATA, ("indicators", *MODELS)),
    "evaluation_report": ("evaluation", MARKET, ("predictions",)),
    "pool_value": ("evaluation", MARKET, ("predictions",)),
    "champion_model": ("promotion", MARKET, ("evaluation_report", "pool_value")),
    "store_maintenance": ("maintenance", None, ()),
}
"""By name: group, dimensions of the partitions, upstream assets."""


def make_settings(home: Path, interval: str = "1m", **settings: object) -> Settings:
    chosen = {"currencies": ",".join(CURRENCIES), "start_day": "2025-01-01", **settings}
    return Settings.load(home=home, interval=interval, partition=SPANS[interval], **chosen)


def dimensions(definition: dg.PartitionsDefinition | None, partitions: Partitions) -> tuple[str, ...] | None:
    """Names of the dimensions of a partitions definition, the span of time called `span`."""
    if isinstance(definition, dg.MultiPartitionsDefinition):
        names = definition.partition_dimension_names
        return tuple("span" if name == partitions.span_name else name for name in names)
    return MARKET if definition == partitions.market_partitions else None


@pytest.mark.parametrize("interval", SPANS)
def test_assets_are_known_by_these_names_groups_partitions_and_parents(interval: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, interval)
    graph = build_definitions(settings).resolve_asset_graph()
    partitions = Partitions(settings)
    assert {
        node.key.to_user_string(): (
            node.group_name,
            dimensions(node.partitions_def, partitions),
            tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
        )
        for node in graph.asset_nodes
    } == {name: (group, of, tuple(sorted(parents))) for name, (group, of, parents) in ASSETS.items()}


@pytest.mark.parametrize("name", ASSETS)
def test_every_asset_says_what_it_is_and_whose(name: str, tmp_path: Path) -> None:
    node = build_definitions(make_settings(tmp_path)).resolve_asset_graph().get(dg.AssetKey(name))
    assert len(node.description) > 80
    assert [owner for owner in node.owners if owner in ("team:market-data", "team:research")]
    assert "python" in node.kinds
    assert len(node.kinds) >= 2
    assert node.code_version


def test_partitions_hold_the_currencies_the_markets_and_today(tmp_path: Path) -> None:
    now = datetime(2025, 3, 15, 18, tzinfo=UTC)
    for interval, last in (("1m", "2025-03-15"), ("1h", "2025-03-01")):
        partitions = Partitions(make_settings(tmp_path, interval))
        keys = partitions.market_data(partitions.groups[0]).get_partition_keys(now)
        assert f"BTCUSDT|{last}" in keys
        assert {key.split("|")[0] for key in keys} == set(CURRENCIES)
        assert max(key.split("|")[1] for key in keys) == last
        assert f"{now.date()}|ALL" in partitions.models.get_partition_keys(now)
        assert partitions.market_partitions.get_partition_keys() == ["ALL", *CURRENCIES]


def test_schedules_are_known_by_these_names_and_times(tmp_path: Path) -> None:
    repository = build_definitions(make_settings(tmp_path)).get_repository_def()
    schedules = {one.name: (one.cron_schedule, one.execution_timezone) for one in repository.schedule_defs}
    assert schedules == {
        "ingestion_schedule": ("0 0,12 * * *", "UTC"),
        "indicators_schedule": ("0 1,13 * * *", "UTC"),
        "maintenance_schedule": ("30 4 * * 0", "UTC"),
    }


@pytest.mark.parametrize(
    ("interval", "moment", "spans"),
    [
        ("1m", "2025-03-01T00:00", ["2025-02-28", "2025-03-01"]),
        ("1m", "2025-03-01T12:00", ["2025-02-28", "2025-03-01"]),
        ("1h", "2025-03-01T00:00", ["2025-02-01", "2025-03-01"]),
        ("1h", "2025-03-15T12:00", ["2025-03-01"]),
    ],
)
@pytest.mark.parametrize(
    ("schedule", "layer"), [("ingestion_schedule", "klines"), ("indicators_schedule", "indicators")]
)
def test_a_tick_asks_for_one_run_a_group_over_yesterday_and_today_of_its_currencies(
    schedule: str, layer: str, interval: str, moment: str, spans: list[str], tmp_path: Path
) -> None:
    names = tuple(f"C{number:03}USDT" for number in range(GROUP_SIZES[SPANS[interval]] + 2))
    repository = build_definitions(make_settings(tmp_path, interval, currencies=",".join(names))).get_repository_def()
    tick = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=tick, repository_def=repository)
        requests = repository.get_schedule_def(schedule).evaluate_tick(context).run_requests
    asked = []
    for request in requests:
        (asset,) = request.asset_selection
        first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        keys = repository.asset_graph.get(asset).partitions_def.get_partition_keys_in_range(
            dg.PartitionKeyRange(first, last)
        )
        asked.append((asset.to_user_string(), sorted(keys), request.run_key))
    assert asked == [
        (asset, sorted(f"{name}|{span}" for name in group for span in spans), f"{asset}-{moment}")
        for asset, group in ((layer, names[:-2]), (f"{layer}_02", names[-2:]))
    ]


def test_it_loads_as_dagster_loads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOBOT_HOME", str(tmp_path))
    monkeypatch.setenv("CRYPTOBOT_CURRENCIES", "BTCUSDT")
    loaded = defs()
    dg.Definitions.validate_loadable(loaded)
    assert loaded.resolve_asset_graph().get_all_asset_keys() == {dg.AssetKey(name) for name in ASSETS}
    assert list(tmp_path.iterdir()) == []

"""What Dagster loads: assets, their partitions, jobs and schedules, as people and other systems know them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from cryptobot_assets.definitions import build_definitions, defs
from cryptobot_assets.exchange.simulation import simulate
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets_tests.conftest import MakeExchange

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)

SPANS = {"1m": "day", "1h": "month"}
CURRENCIES = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
MEMBERS = (
    "bayesianridge_model", "catboost_model", "elasticnet_model", "huber_model",
    "lasso_model", "lassolars_model", "ridge_model", "xgboost_model",
)  # fmt: skip
MODELS = (
    *MEMBERS, "zero_model", "momentum_model", "ar_model", "xgboostdirection_model", "relativeridge_model",
    "xgboostrank_model", "neural_model",
)  # fmt: skip
MARKET_DATA, MODEL, MARKET, MONTH = ("currency", "span"), ("cutoff", "market"), ("market",), ("month",)
ASSETS = {
    "listings": ("market_data", None, ()),
    "klines": ("market_data", MARKET_DATA, ()),
    "indicators": ("features", MARKET_DATA, ("klines",)),
    "training_set": ("training", MODEL, ("indicators", "klines")),
    **dict.fromkeys(MODELS, ("training", MODEL, ("training_set",))),
    "ensemble_model": ("training", MODEL, ("training_set", *MEMBERS)),
    "predictions": ("evaluation", MARKET_DATA, ("indicators", "ensemble_model", *MODELS)),
    "evaluation_report": ("evaluation", MARKET, ("predictions",)),
    "pool_value": ("evaluation", MARKET, ("predictions",)),
    "champion_model": ("promotion", MARKET, ("evaluation_report", "pool_value")),
    "challenger_model": ("promotion", MODEL, ("ensemble_model", *MODELS)),
    "drift_report": ("monitoring", MARKET, ("champion_model",)),
    "paper_ledger": ("paper", None, ("champion_model", "indicators", "klines")),
    "gap_ledger": ("market_data", MONTH, ("klines",)),
    "gap_repair": ("market_data", MONTH, ("gap_ledger",)),
    "served_predictions": ("serving", None, ()),
    "prediction_outcomes": ("serving", None, ("klines", "served_predictions")),
    "store_backup": ("maintenance", None, ()),
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
    return {partitions.market_partitions: MARKET, partitions.months: MONTH}.get(definition)


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


SCHEDULES = {
    "ingestion_schedule": "0 0,12 * * *",
    "indicators_schedule": "0 1,13 * * *",
    "gaps_schedule": "30 1 * * *",
    "evaluation_schedule": "0 2 * * *",
    "training_schedule": "0 3 * * 1",
    "paper_schedule": "5 * * * *",
    "served_schedule": "10 * * * *",
    "backup_schedule": "30 2 * * *",
    "maintenance_schedule": "30 4 * * 0",
}
SENSORS = {"alert_sensor", "drift_sensor", "indicators_sensor", "new_listings_sensor", "predictions_sensor"}


def test_schedules_and_sensors_are_known_by_these_names_and_times(tmp_path: Path) -> None:
    repository = build_definitions(make_settings(tmp_path)).get_repository_def()
    assert {one.name: one.cron_schedule for one in repository.schedule_defs} == SCHEDULES
    assert {one.execution_timezone for one in repository.schedule_defs} == {"UTC"}
    assert {one.name for one in repository.sensor_defs} == SENSORS


@pytest.mark.parametrize("on", [True, False])
def test_automation_runs_by_itself_where_the_settings_say_so(on: bool, tmp_path: Path) -> None:
    repository = build_definitions(make_settings(tmp_path, automation=on)).get_repository_def()
    statuses = {one.default_status.value for one in [*repository.schedule_defs, *repository.sensor_defs]}
    assert statuses == {"RUNNING" if on else "STOPPED"}


def test_schedules_tick_when_the_settings_say_so(tmp_path: Path) -> None:
    names = ("ingestion", "indicators", "evaluation", "training", "served", "backup", "maintenance", "paper")
    crons = {f"{name}_cron": f"{minute} * * * *" for minute, name in enumerate(names)}
    repository = build_definitions(make_settings(tmp_path, **crons)).get_repository_def()
    ticking = {one.name: one.cron_schedule for one in repository.schedule_defs}
    assert [ticking[f"{name}_schedule"] for name in names] == [f"{minute} * * * *" for minute in range(8)]


def test_it_loads_as_dagster_loads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOBOT_HOME", str(tmp_path))
    monkeypatch.setenv("CRYPTOBOT_CURRENCIES", "BTCUSDT")
    loaded = defs()
    dg.Definitions.validate_loadable(loaded)
    assert loaded.resolve_asset_graph().get_all_asset_keys() == {dg.AssetKey(name) for name in ASSETS}
    assert list(tmp_path.iterdir()) == []


def test_a_universe_of_all_loads_as_dagster_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_exchange: MakeExchange
) -> None:
    monkeypatch.setenv("CRYPTOBOT_HOME", str(tmp_path))
    monkeypatch.setenv("CRYPTOBOT_CURRENCIES", "all")
    monkeypatch.setenv("CRYPTOBOT_EXCHANGE_URL", make_exchange(simulate(7, 3, days=1, interval="1h")))
    loaded = defs()
    dg.Definitions.validate_loadable(loaded)
    graph = loaded.resolve_asset_graph()
    layers = ("klines", "indicators", "predictions")
    more = {f"{layer}_{number:02}" for layer in layers for number in range(2, 7)}
    assert graph.get_all_asset_keys() == {dg.AssetKey(name) for name in {*ASSETS, *more}}
    assert {one.to_user_string() for one in graph.get(dg.AssetKey("klines_02")).child_keys} >= {"indicators_02"}
    for layer in layers:
        held = graph.get(dg.AssetKey(f"{layer}_02")).partitions_def.get_partitions_def_for_dimension("currency")
        assert held == dg.DynamicPartitionsDefinition(name="currencies_02")
    sensors = {one.name: one for one in loaded.get_repository_def().sensor_defs}
    running = {name for name, one in sensors.items() if one.default_status is dg.DefaultSensorStatus.RUNNING}
    assert running == {"new_listings_sensor"}, "there are no partitions before it has looked"

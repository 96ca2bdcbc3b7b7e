"""A small deployment to look at: rows in a lake, a champion in a registry, runs in a Dagster instance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from cryptobot_assets.assets.decay import CHECKS, RETRAIN
from cryptobot_assets.automation.records import ASSET_JOB
from cryptobot_assets.contracts.factories import START
from cryptobot_assets.contracts.table_rows import make_rows
from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.monitoring.at_home import home_figures
from cryptobot_assets.monitoring.families import Figure
from cryptobot_assets.monitoring.orchestrated import DagsterWatch
from cryptobot_assets.monitoring.registered import RegistryWatch
from cryptobot_assets.monitoring.stored import StoreWatch
from cryptobot_assets.monitoring.watching import Open
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import (
    COVERAGE,
    GAPS,
    INDICATORS,
    KLINES,
    PAPER_BALANCES,
    PREDICTION_OUTCOMES,
    Store,
)
from cryptobot_assets_tests.dashboard.registered import UNPROVEN, register
from cryptobot_assets_tests.instances import opened_instance

CURRENCIES = ("BTCUSDT", "ETHUSDT")
HOURS = 200
NOW = START + timedelta(hours=HOURS + 1)
"""An hour after the newest kline was known."""
MONTH = "2024-01-01"
CUTOFF = START + timedelta(days=4)
EVALUATED = {
    "oos_rows": 480.0, "oos_mse": 0.9, "oos_mse_zero": 1.0, "oos_ic": 0.04, "oos_ic_low": -0.01, "oos_ic_high": 0.09,
    "oos_accuracy": 0.51, "oos_base_rate": 0.52, "oos_interval_coverage": 0.88, "oos_pool_value_gross": 1.2,
    "oos_pool_value_net": 1.1, "oos_pool_value_net_low": 0.9, "oos_pool_value_net_high": 1.3, "oos_control_net": 1.05,
}  # fmt: skip
DRIFT = {
    "feature_index": 0.31, "feature_p": 0.02, "relative_error_before": -0.05, "relative_error_after": 0.1,
    "interval_coverage": 0.81, RETRAIN: "features: the newest days are less like the training rows",
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """One deployment, and what there is to be read of it."""

    settings: Settings
    store: Store
    registry: Registry
    instance: dg.DagsterInstance
    graph: AssetGraph

    def sources(self) -> dict[str, Open]:
        """As `cryptobot metrics` opens them, with a clock that stands still for the market."""
        return {
            "home": lambda: lambda: home_figures(self.settings.home),
            "store": lambda: StoreWatch(self.store, self.settings, now=lambda: NOW),
            "registry": lambda: RegistryWatch(self.registry, self.settings, ("ALL", *CURRENCIES)),
            "dagster": lambda: DagsterWatch(self.instance, self.graph),
        }


def by_labels(figures: list[Figure], name: str) -> dict[tuple[str, ...], float]:
    """Values of one family by the values of its labels, in the order in which they were given."""
    return {tuple(one.labels.values()): one.value for one in figures if one.name == name}


def make_world(folder: Path) -> None:
    """Everything filled; the folder holds an MLflow database already."""
    with opened_world(folder) as world:
        fill_store(world.store)
        fill_registry(world.registry)
        record(world.instance)


@contextmanager
def opened_world(folder: Path) -> Iterator[World]:
    """The deployment in a folder."""
    settings = Settings.load(
        home=folder / "home", interval="1h", currencies=",".join(CURRENCIES), start_day=MONTH,
        mlflow_tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
    )  # fmt: skip
    registry = Registry(settings.mlflow_tracking_uri, folder / "artifacts")
    graph = build_definitions(settings).resolve_asset_graph()
    with opened_instance(folder / "dagster") as instance:
        yield World(settings, Lake(settings.lake_url), registry, instance, graph)


def fill_store(store: Store) -> None:
    """200 hours of two currencies, the second's indicators two hours behind; 48 of the other tables."""
    for number, currency in enumerate(CURRENCIES):
        klines = make_rows(KLINES, HOURS, currency=currency)
        indicators = make_rows(INDICATORS, HOURS - 2 * number, currency=currency)
        store.replace(KLINES, klines, start=None, end=None, currency=currency)
        store.replace(INDICATORS, indicators, start=None, end=None, currency=currency)
    gaps = make_rows(GAPS).with_columns(
        kind=pl.when(pl.int_range(pl.len()) < 2).then(pl.lit("missing")).otherwise(pl.lit("outage"))
    )
    for table, rows in ((GAPS, gaps), *((one, make_rows(one)) for one in (COVERAGE, PREDICTION_OUTCOMES))):
        store.replace(table, rows, start=None, end=None)
    balances = make_rows(PAPER_BALANCES, 8 * 24).with_columns(currency=pl.lit("USDT"))
    store.replace(PAPER_BALANCES, balances, start=None, end=None)


def fill_registry(registry: Registry) -> None:
    """A champion that has not passed, evaluated out of sample."""
    version = register(registry, cutoff=CUTOFF, currencies=CURRENCIES)
    registry.promote(version, alias="challenger", verdict=UNPROVEN)
    registry.promote(version, alias="champion", verdict=UNPROVEN)
    registry.log_evaluation(version, metrics=EVALUATED, plots={}, tables={})


def record(instance: dg.DagsterInstance) -> None:
    """Runs that ended well and one that failed, drift, a schedule that fails tick after tick, a daemon."""
    for asset in ("klines", "store_backup", "drift_report"):
        run(instance, asset)
    run(instance, "indicators", outcome=dg.DagsterRunStatus.FAILURE)
    made = ({"asset_key": "klines", "partition": f"BTCUSDT|{MONTH}"}, {"asset_key": "store_backup"})
    for facts in (*made, {"asset_key": "drift_report", "partition": "ALL", "metadata": DRIFT}):
        instance.report_runless_asset_event(dg.AssetMaterialization(**facts))
    for name in CHECKS:
        passed = not name.startswith("errors")
        asset = dg.AssetKey("drift_report")
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(asset_key=asset, check_name=name, passed=passed))
    tick(instance, "training_schedule", TickStatus.SKIPPED, 1.0)
    for at, status in enumerate((TickStatus.SKIPPED, TickStatus.FAILURE, TickStatus.FAILURE), start=1):
        tick(instance, "ingestion_schedule", status, float(at))
    instance.add_daemon_heartbeat(DaemonHeartbeat(START.timestamp(), "SCHEDULER", None, []))


def run(
    instance: dg.DagsterInstance, asset: str, *, outcome: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS
) -> None:
    """A run of an asset that ended so."""
    selection = frozenset([dg.AssetKey(asset)])
    instance.add_run(dg.DagsterRun(ASSET_JOB, status=outcome, asset_selection=selection))


def tick(instance: dg.DagsterInstance, name: str, status: TickStatus, at: float) -> None:
    """A tick of a schedule that runs."""
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), name
    )
    kept = (origin.get_id(), origin.get_selector().get_id())
    if instance.get_instigator_state(*kept) is None:
        data = ScheduleInstigatorData("0 0,12 * * *", 0.0)
        instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data))
    error = SerializableErrorInfo("the store is away", [], "StoreError") if status == TickStatus.FAILURE else None
    instance.create_tick(TickData(kept[0], name, InstigatorType.SCHEDULE, status, at, selector_id=kept[1], error=error))

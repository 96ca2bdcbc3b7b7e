"""What is read of store, registry, Dagster and home is what they hold."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.domain.served import ROLES
from cryptobot_assets.errors import RegistryError, StoreError
from cryptobot_assets.monitoring.families import FAMILIES, Figure
from cryptobot_assets.monitoring.orchestrated import DagsterWatch
from cryptobot_assets.monitoring.registered import REREAD_SECONDS, RegistryWatch
from cryptobot_assets.monitoring.stored import GAP_KINDS, StoreWatch
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import PAPER_BALANCES, open_store_at
from cryptobot_assets_tests.instances import opened_instance
from cryptobot_assets_tests.monitoring.world import CUTOFF, DRIFT, EVALUATED, HOURS, NOW, World, by_labels, run

FAILURE = dg.DagsterRunStatus.FAILURE


def read(world: World, source: str) -> list[Figure]:
    """Every figure of a source, each known and told once."""
    figures = list(world.sources()[source]()())
    series = [(one.name, tuple(sorted(one.labels.items()))) for one in figures]
    assert len(series) == len(set(series))
    assert {one.name for one in figures} <= FAMILIES.keys()
    assert all(tuple(sorted(one.labels)) == tuple(sorted(FAMILIES[one.name].labels)) for one in figures)
    return figures


def test_freshness_is_market_time_since_the_newest_row_was_known(world: World) -> None:
    figures, hour = read(world, "store"), 3600.0
    ages = by_labels(figures, "cryptobot_newest_row_age_seconds")
    assert ages == {
        ("klines", "BTCUSDT"): hour,
        ("klines", "ETHUSDT"): hour,
        ("indicators", "BTCUSDT"): hour,
        ("indicators", "ETHUSDT"): 3 * hour,
    }
    assert by_labels(figures, "cryptobot_stalest_row_age_seconds") == {("klines",): hour, ("indicators",): 3 * hour}
    assert by_labels(figures, "cryptobot_median_row_age_seconds") == {("klines",): hour, ("indicators",): 2 * hour}
    assert by_labels(figures, "cryptobot_currencies") == {("klines",): 2, ("indicators",): 2}


def test_gaps_are_told_by_kind_and_klines_as_the_ledger_counts_them(world: World) -> None:
    figures, none = read(world, "store"), {(kind,): 0 for kind in GAP_KINDS}
    assert by_labels(figures, "cryptobot_gaps") == none | {("missing",): 2, ("outage",): 46}
    assert by_labels(figures, "cryptobot_klines_lacking") == none | {("missing",): 60, ("outage",): 46 * 30}
    assert by_labels(figures, "cryptobot_klines_expected") == {(): 48 * 24}
    assert by_labels(figures, "cryptobot_klines_stored") == {(): 48 * 20}


def test_served_predictions_are_held_against_what_happened(world: World) -> None:
    figures = read(world, "store")
    inside = HOURS + 1 - 8 * 24  # hours before those of the last eight days
    assert by_labels(figures, "cryptobot_outcomes") == {(role,): 0 for role in ROLES} | {("champion",): 48 - inside}
    assert by_labels(figures, "cryptobot_outcome_mse_ratio")["champion",] == pytest.approx(0.25)
    assert by_labels(figures, "cryptobot_outcome_direction_ratio") == {("champion",): 1}


def test_the_paper_bot_is_told_beside_its_controls(world: World) -> None:
    figures = read(world, "store")
    last = world.store.read(PAPER_BALANCES).row(-1, named=True)
    worth = by_labels(figures, "cryptobot_paper_equity_ratio")
    assert worth["ALL", "12", "bot"] == pytest.approx((last["cash"] + last["holdings"] * 0.9988) / last["capital"])
    assert worth["ALL", "12", "universe"] == pytest.approx(last["universe_equity"] * 0.9988 / last["capital"])
    assert by_labels(figures, "cryptobot_paper_hours") == {("ALL",): 192}
    assert by_labels(figures, "cryptobot_paper_age_seconds") == {("ALL",): (NOW - last["time"]).total_seconds()}
    low, high = (by_labels(figures, f"cryptobot_paper_over_control_{end}_ratio")["ALL",] for end in ("low", "high"))
    assert low <= by_labels(figures, "cryptobot_paper_over_control_ratio")["ALL",] <= high


def test_tables_that_did_not_change_are_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = StoreWatch(world.store, world.settings, now=lambda: NOW)
    first = watch()
    monkeypatch.setattr(type(world.store), "query", None)
    assert watch() == first, "the outcomes were asked for again"


def test_a_store_that_cannot_be_read_is_an_error_for_the_watcher(world: World) -> None:
    with pytest.raises(StoreError):
        StoreWatch(open_store_at("postgresql://nobody@127.0.0.1:1/none"), world.settings, now=lambda: NOW)()


def test_a_store_without_rows_tells_what_it_can(world: World, tmp_path: object) -> None:
    figures = StoreWatch(open_store_at(str(tmp_path)), world.settings, now=lambda: NOW)()
    assert by_labels(figures, "cryptobot_currencies") == {("klines",): 0, ("indicators",): 0}
    assert by_labels(figures, "cryptobot_stalest_row_age_seconds") == {}


def test_the_champion_and_the_evaluation_are_those_of_the_registry(world: World) -> None:
    figures = read(world, "registry")
    assert by_labels(figures, "cryptobot_champion_info") == {("ALL", "ridge", "1", "unproven"): 1}
    assert by_labels(figures, "cryptobot_champion_passed") == {("ALL",): 0}
    assert by_labels(figures, "cryptobot_champion_overridden") == {("ALL",): 0}
    cutoff = CUTOFF.timestamp()
    assert by_labels(figures, "cryptobot_champion_cutoff_timestamp_seconds") == {("ALL",): cutoff}
    assert by_labels(figures, "cryptobot_model_cutoff_timestamp_seconds") == {("ALL", "ridge"): cutoff}
    since = by_labels(figures, "cryptobot_champion_since_timestamp_seconds")["ALL",]
    assert abs(since - time.time()) < 600
    of = ("ALL", "ridge")
    assert by_labels(figures, "cryptobot_evaluation_ic")[of] == EVALUATED["oos_ic"]
    assert by_labels(figures, "cryptobot_evaluation_ic_high")[of] == EVALUATED["oos_ic_high"]
    assert by_labels(figures, "cryptobot_evaluation_mse_ratio")[of] == pytest.approx(0.9)
    assert by_labels(figures, "cryptobot_pool_value_net_ratio") == {(*of, "12"): EVALUATED["oos_pool_value_net"]}
    assert by_labels(figures, "cryptobot_pool_control_net_ratio") == {(*of, "12"): EVALUATED["oos_control_net"]}


def test_evaluations_are_read_again_when_the_champion_changes_and_every_few_minutes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = [0.0], []
    champion = world.registry.champion("ALL")
    versions = world.registry.versions
    monkeypatch.setattr(Registry, "versions", lambda registry, market: asked.append(market) or versions(market))
    watch = RegistryWatch(world.registry, world.settings, ("ALL",), clock=lambda: clock[0])
    watch()
    watch()
    assert len(asked) == 1
    clock[0] += REREAD_SECONDS
    watch()
    assert len(asked) == 2
    moved = {**champion.tags, "promotions": "[]", "verdict": "passed"}
    monkeypatch.setattr(
        Registry, "champion", lambda registry, market: champion.__class__(**{**vars(champion), "tags": moved})
    )
    assert by_labels(watch(), "cryptobot_champion_passed") == {("ALL",): 1}
    assert len(asked) == 3


def test_a_registry_that_is_away_is_an_error_for_the_watcher(world: World) -> None:
    with pytest.raises(RegistryError):
        RegistryWatch(Registry("http://127.0.0.1:1"), world.settings, ("ALL",))()


def test_runs_partitions_checks_and_ticks_are_those_of_the_instance(world: World) -> None:
    figures = read(world, "dagster")
    passed = by_labels(figures, "cryptobot_asset_run_passed")
    assert passed == {("klines",): 1, ("store_backup",): 1, ("indicators",): 0, ("drift_report",): 1}
    assert by_labels(figures, "cryptobot_asset_partitions") == {("klines",): 1, ("drift_report",): 1}
    assert by_labels(figures, "cryptobot_runs")["failure",] == 1
    assert by_labels(figures, "cryptobot_runs")["success",] == 3
    assert by_labels(figures, "cryptobot_oldest_run_age_seconds") == {("queued",): 0, ("started",): 0}
    materialized = by_labels(figures, "cryptobot_asset_materialized_timestamp_seconds")
    assert set(materialized) == {("klines",), ("store_backup",), ("drift_report",)}
    assert by_labels(figures, "cryptobot_tick_failures") == {("training_schedule",): 0, ("ingestion_schedule",): 2}
    assert by_labels(figures, "cryptobot_tick_timestamp_seconds")["ingestion_schedule",] == 3
    heartbeat = by_labels(figures, "cryptobot_daemon_heartbeat_timestamp_seconds")
    assert heartbeat == {("scheduler",): START.timestamp()}
    checks = by_labels(figures, "cryptobot_check_passed")
    assert checks["drift_report", "errors_have_not_worsened", "error"] == 0
    assert checks["drift_report", "features_are_as_in_training", "error"] == 1


def test_the_newest_drift_report_of_each_market_is_told(world: World) -> None:
    figures = read(world, "dagster")
    assert by_labels(figures, "cryptobot_drift_found") == {("ALL",): 1}
    assert by_labels(figures, "cryptobot_drift_feature_index") == {("ALL",): DRIFT["feature_index"]}
    errors = by_labels(figures, "cryptobot_drift_relative_error")
    assert errors == {("ALL", "before"): -0.05, ("ALL", "after"): 0.1}


def test_runs_are_counted_once_and_from_the_first_look_on(world: World, tmp_path: Path) -> None:
    with opened_instance(tmp_path) as instance:
        watch = DagsterWatch(instance, world.graph)

        def failures() -> float:
            return by_labels(list(watch()), "cryptobot_asset_runs_total")["listings", "failure"]

        run(instance, "listings", outcome=FAILURE)
        assert failures() == 0
        run(instance, "listings", outcome=FAILURE)
        run(instance, "a_stranger")
        assert [failures(), failures()] == [1, 1]
        run(instance, "listings")
        passed = by_labels(list(watch()), "cryptobot_asset_run_passed")
        assert passed == {("listings",): 1}, "the last one counts, and assets of the deployment alone"


def test_the_home_tells_its_room_and_what_waits(world: World, tmp_path: Path) -> None:
    world = replace(world, settings=world.settings.but({"home": str(tmp_path)}))
    spool = tmp_path / "served"
    spool.mkdir()
    (spool / "20240101T000000-1-00.jsonl").write_text("12345")
    (spool / "20240101T000000-1-00.unreadable").write_text("123")
    figures = read(world, "home")
    assert by_labels(figures, "cryptobot_spool_files") == {(): 1}
    assert by_labels(figures, "cryptobot_spool_bytes") == {(): 5}
    assert by_labels(figures, "cryptobot_spool_unreadable_bytes") == {(): 3}
    free, size = (by_labels(figures, f"cryptobot_home_{name}_bytes")[()] for name in ("free", "size"))
    assert 0 < free < size

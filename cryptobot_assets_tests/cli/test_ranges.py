"""Ranges of partitions still to be done: whole, no more than that, and never across two groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets.cli.ranges import PARTITIONS_A_RUN, KeyRange, missing_ranges, whole_ranges
from cryptobot_assets.contracts.factories import START, make_klines
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS, KLINES, open_store

pytestmark = pytest.mark.filterwarnings("ignore::dagster._utils.warnings.BetaWarning")
FIRST, LAST = date(2024, 1, 1), date(2024, 1, 4)
NAMES = tuple(f"C{number:03}USDT" for number in range(45))


@dataclass
class FakeDeployment:
    """What the ranges ask of a deployment: its partitions, and what is materialized."""

    settings: Settings
    done: dict[str, set[str]] = field(default_factory=dict)
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    @property
    def partitions(self) -> Partitions:
        return Partitions(self.settings)

    def materialized(self, asset: str) -> set[str]:
        return self.done.get(asset, set())

    def record(self, asset: str, days: Iterable[int]) -> None:
        """Materialize days of January of the first currency."""
        for key in (f"{NAMES[0]}|2024-01-0{day}" for day in days):
            self.done.setdefault(asset, set()).add(key)
            self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key))


def make_deployment(home: Path, *, days: int = 30, stored: tuple[str, ...] = NAMES) -> FakeDeployment:
    """45 currencies of whole days; the stored ones have klines of the first `days` days."""
    settings = Settings.load(
        home=home, interval="1h", partition="day", currencies=",".join(NAMES), start_day="2024-01-01"
    )
    rows = pl.concat([make_klines(24 * days, currency=name, start=START) for name in stored])
    open_store(settings).replace(KLINES, rows, start=None, end=None)
    return FakeDeployment(settings)


def keys_of(deployment: FakeDeployment, one: KeyRange) -> set[str]:
    group = next(group for group in deployment.partitions.groups if group.asset("klines") == one.asset)
    definition = deployment.partitions.market_data(group)
    return set(definition.get_partition_keys_in_range(dg.PartitionKeyRange(*one.keys)))


def test_a_fresh_home_misses_everything_in_runs_of_one_group(tmp_path: Path) -> None:
    deployment = make_deployment(tmp_path)
    ranges = missing_ranges(deployment, "klines", NAMES, FIRST, LAST)
    assert [(one.asset, one.first, one.last) for one in ranges] == [
        ("klines", "C000USDT|2024-01-01", "C019USDT|2024-01-04"),
        ("klines_02", "C020USDT|2024-01-01", "C039USDT|2024-01-04"),
        ("klines_03", "C040USDT|2024-01-01", "C044USDT|2024-01-04"),
    ]
    assert ranges == list(whole_ranges(deployment, "klines", FIRST, LAST))


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    deployment = make_deployment(tmp_path)
    days = [(FIRST + timedelta(days=number)).isoformat() for number in range(4)]
    everything = {f"{name}|{day}" for name in NAMES for day in days}
    missing = {f"C019USDT|{days[1]}", f"C020USDT|{days[1]}", f"C030USDT|{days[0]}", f"C030USDT|{days[3]}"}
    for group in deployment.partitions.groups:
        held = {key for key in everything - missing if key.split("|")[0] in group.currencies}
        deployment.done[group.asset("klines")] = held
    ranges = missing_ranges(deployment, "klines", NAMES, FIRST, LAST)
    asked = [key for one in ranges for key in keys_of(deployment, one)]
    assert sorted(asked) == sorted(missing)
    assert [one.asset for one in ranges] == ["klines", "klines_02", "klines_02", "klines_02"]


def test_currencies_that_are_not_neighbours_are_not_joined(tmp_path: Path) -> None:
    deployment = make_deployment(tmp_path)
    ranges = missing_ranges(deployment, "klines", ("C001USDT", "C003USDT", "C002USDT", "C005USDT"), FIRST, LAST)
    assert [one.keys for one in ranges] == [
        ("C001USDT|2024-01-01", "C003USDT|2024-01-04"),
        ("C005USDT|2024-01-01", "C005USDT|2024-01-04"),
    ]


def test_a_run_is_bounded(tmp_path: Path) -> None:
    deployment = make_deployment(tmp_path)
    last = FIRST + timedelta(days=PARTITIONS_A_RUN // 2 - 1)
    ranges = missing_ranges(deployment, "klines", NAMES[:4], FIRST, last)
    assert [len(keys_of(deployment, one)) for one in ranges] == [PARTITIONS_A_RUN, PARTITIONS_A_RUN]


def test_a_long_range_is_cut_between_months_into_bounded_runs(tmp_path: Path) -> None:
    deployment = make_deployment(tmp_path)
    last = FIRST + timedelta(days=2 * PARTITIONS_A_RUN + 100)
    ranges = missing_ranges(deployment, "klines", NAMES[:2], FIRST, last)
    assert sum(len(keys_of(deployment, one)) for one in ranges) == 2 * (2 * PARTITIONS_A_RUN + 101)
    assert all(len(keys_of(deployment, one)) <= PARTITIONS_A_RUN for one in ranges)
    assert all(one.first.endswith("-01") for one in ranges)
    assert len(ranges) == 6


def test_a_day_recorded_before_its_end_is_done_again(tmp_path: Path) -> None:
    deployment = make_deployment(tmp_path, days=2, stored=NAMES[:1])
    deployment.done["klines"] = {f"{name}|2024-01-0{day}" for name in NAMES[:2] for day in (1, 2, 3)}
    ranges = missing_ranges(deployment, "klines", NAMES[:2], FIRST, FIRST + timedelta(days=2))
    assert [one.keys for one in ranges] == [
        ("C000USDT|2024-01-03", "C000USDT|2024-01-03"),
        ("C001USDT|2024-01-01", "C001USDT|2024-01-03"),
    ]


def test_a_day_that_lacks_rows_is_done_again_whatever_is_recorded(tmp_path: Path) -> None:
    """The platform stood still from the noon of one day to the next tick, days later."""
    deployment = make_deployment(tmp_path, days=4, stored=NAMES[:1])
    deployment.done["klines"] = {f"{NAMES[0]}|2024-01-0{day}" for day in (1, 2, 3, 4)}
    store, noon = open_store(deployment.settings), START + timedelta(days=1, hours=12)
    assert missing_ranges(deployment, "klines", NAMES[:1], FIRST, LAST) == []
    rest = store.read(KLINES).filter((pl.col("time") < noon) | (pl.col("time") >= START + timedelta(days=2)))
    store.replace(KLINES, rest, start=None, end=None)
    (one,) = missing_ranges(deployment, "klines", NAMES[:1], FIRST, LAST)
    assert one.keys == ("C000USDT|2024-01-02", "C000USDT|2024-01-02")


def test_indicators_are_done_where_rows_have_none(tmp_path: Path) -> None:
    deployment = make_deployment(tmp_path, days=4, stored=NAMES[:1])
    days = [f"{NAMES[0]}|2024-01-0{day}" for day in (1, 2, 3, 4)]
    deployment.done["indicators"] = set(days)
    store_indicators(deployment, pl.col("time") != START + timedelta(days=2))
    (one,) = missing_ranges(deployment, "indicators", NAMES[:1], FIRST, LAST)
    assert one.keys == (days[2], days[2])


@pytest.mark.parametrize("by_whom", ["this home", "another one on the same store"])
def test_indicators_older_than_klines_they_read_are_done_again_also_after_the_range(by_whom: str, tmp_path: Path):
    deployment = make_deployment(tmp_path, days=8, stored=NAMES[:1])
    if by_whom == "this home":
        deployment.record("klines", range(3, 7))
        deployment.record("indicators", range(3, 7))
    store_indicators(deployment, pl.col("time") < START + timedelta(days=7))
    deployment.record("klines", range(1, 3))
    deployment.record("indicators", range(1, 3))
    deployment.record("klines", range(2, 3))
    (one,) = missing_ranges(deployment, "indicators", NAMES[:1], FIRST, FIRST + timedelta(days=1))
    assert one.keys == (f"{NAMES[0]}|2024-01-02", f"{NAMES[0]}|2024-01-07")
    deployment.record("indicators", range(2, 8))
    assert missing_ranges(deployment, "indicators", NAMES[:1], FIRST, LAST) == []


def store_indicators(deployment: FakeDeployment, kept: pl.Expr) -> None:
    """Rows for those klines."""
    closes = open_store(deployment.settings).read(KLINES, columns=["currency", "time", "close"])
    blank = [pl.lit(None, kind).alias(name) for name, kind in INDICATORS.schema.items() if name not in closes.columns]
    made = closes.with_columns(blank).filter(kept)
    open_store(deployment.settings).replace(INDICATORS, made, start=None, end=None)

"""A universe of `all` over time: who is listed becomes a partition and is filled, who is delisted is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cryptobot_assets import partitions as layout
from cryptobot_assets import universe
from cryptobot_assets.automation import listings
from cryptobot_assets.automation.records import RANGE_END, RANGE_START
from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.deployment import QUIET
from cryptobot_assets.domain.universe import tradable
from cryptobot_assets.exchange.market import to_ms
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets.storage.listings import read_listings
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES
from cryptobot_assets.universe import open_partitions
from cryptobot_assets_tests.automation.ticks import ranges_asked
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.instances import opened_instance
from cryptobot_assets_tests.storage.universes import DAYS, LIVES, hour, make_universe

pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)
ENDED, LISTED = LIVES["ENDUSDT"][0][1], 24 * 41 + 10


@dataclass
class World:
    """An exchange whose clock the test moves, and a platform whose code is loaded once."""

    instance: dg.DagsterInstance
    hours: float = 0
    cursors: dict[str, str | None] = field(default_factory=dict)
    settings: Settings | None = None
    partitions: Partitions | None = None
    repository: dg.RepositoryDefinition | None = None

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_url)

    @property
    def groups(self) -> list[tuple[str, ...]]:
        return [group.currencies for group in self.partitions.live(self.instance).groups]

    def load(self, settings: Settings) -> None:
        """Load the code as a process does that begins now."""
        self.settings, self.partitions = settings, open_partitions(settings)
        self.repository = build_definitions(settings, self.partitions).get_repository_def()

    def look(self, sensor: str) -> list[dg.RunRequest]:
        """A tick of a sensor: its partitions are added, the runs it asks for are returned."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(sensor), repository_def=self.repository,
            resources={"store": self.lake},
        )  # fmt: skip
        done = self.repository.get_sensor_def(sensor).evaluate_tick(context)
        for one in done.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(one.partitions_def_name, list(one.partition_keys))
        self.cursors[sensor] = done.cursor
        return list(done.run_requests)

    def tick(self, schedule: str) -> list[dg.RunRequest]:
        """What a schedule asks for at the exchange's present."""
        context = dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=hour(self.hours), repository_def=self.repository,
            resources={"store": self.lake},
        )  # fmt: skip
        return list(self.repository.get_schedule_def(schedule).evaluate_tick(context).run_requests)

    def run(self, requests: list[dg.RunRequest]) -> None:
        """Do the runs asked for."""
        job = self.repository.get_implicit_global_asset_job_def()
        for one in requests:
            done = job.execute_in_process(
                asset_selection=list(one.asset_selection), instance=self.instance, tags=dict(one.tags), run_config=QUIET
            )
            assert done.success

    def day(self, hours: float) -> list[dg.RunRequest]:
        """The exchange's clock moves; listings are looked at, klines ingested, and indicators follow."""
        self.hours = hours
        self.run(self.look("new_listings_sensor"))
        self.look("new_listings_sensor")
        asked = self.tick("ingestion_schedule")
        self.run(asked)
        self.run(self.look("indicators_sensor"))
        return asked


@pytest.fixture
def world(make_exchange: MakeExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Nothing stored; groups of three, and room for one more."""
    monkeypatch.setitem(layout.GROUP_SIZES, "day", 3)
    monkeypatch.setattr(universe, "ROOM", 3)
    monkeypatch.setattr(listings, "LOOK_EVERY", timedelta(0))
    monkeypatch.setitem(LIVES, "NEWUSDT", [(LISTED, 24 * DAYS)])
    with opened_instance(tmp_path / "dagster") as instance:
        opened = World(instance, hours=24 * 39 + 12)
        market = make_universe(forgotten=(), without=set(LIVES) - {"BTCUPUSDT", "BTCUSDT", "ENDUSDT", "NEWUSDT"})
        url = make_exchange(market, clock=lambda: to_ms(hour(opened.hours)))
        opened.load(
            Settings.load(
                home=tmp_path, exchange_url=url, currencies="all", interval="1h", partition="day",
                start_day=hour(0).date(), catch_up_days=2, pictures=0,
            )
        )  # fmt: skip
        opened.look("indicators_sensor")
        yield opened


def test_who_is_new_is_filled_and_who_is_gone_is_kept_and_not_asked_for_again(world: World) -> None:
    assert world.groups == [(), ()]
    asked = world.day(24 * 39 + 12)
    first = ("BTCUPUSDT", "BTCUSDT", "ENDUSDT")
    assert world.groups == [first, ()], "without loading the code again"
    assert ranges_asked(asked) == [("BTCUPUSDT|2024-02-07", "ENDUSDT|2024-02-09")]

    asked = world.day(24 * 42 + 6)
    assert world.groups == [first, ("NEWUSDT",)], "the last group was full"
    assert ranges_asked(asked) == [
        ("BTCUPUSDT|2024-02-10", "BTCUSDT|2024-02-12"),
        ("ENDUSDT|2024-02-10", "ENDUSDT|2024-02-10"),
        ("NEWUSDT|2024-02-11", "NEWUSDT|2024-02-12"),
    ]
    klines, indicators = (
        world.lake.read(table, columns=["currency", "time"]).sort("currency", "time") for table in (KLINES, INDICATORS)
    )
    assert klines.equals(indicators), "indicators followed each kline"
    times = {name: klines.filter(pl.col("currency") == name)["time"].to_list() for name in (*first, "NEWUSDT")}
    seen = [hour(count) for count in (*range(24 * 37, 24 * 39 + 12), *range(24 * 40, 24 * 42 + 6))]
    assert times == {
        "BTCUPUSDT": seen, "BTCUSDT": seen, "ENDUSDT": [time for time in seen if time < hour(ENDED)],
        "NEWUSDT": [hour(count) for count in range(LISTED, 24 * 42 + 6)],
    }  # fmt: skip
    assert "delisted" in world.lake.read(GAPS, currency="ENDUSDT")["kind"].to_list()
    assert world.tick("ingestion_schedule") == [] == world.look("indicators_sensor"), "nobody is asked for again"
    world.hours = 24 * 43
    later = world.tick("ingestion_schedule")
    assert "ENDUSDT" not in {key.split("|")[0] for ends in ranges_asked(later) for key in ends}
    assert "ENDUSDT|2024-02-09" in world.instance.get_materialized_partitions(dg.AssetKey("klines"))

    held = read_listings(world.lake)
    assert "ENDUSDT" in tradable(held, hour(ENDED - 1)) and "ENDUSDT" not in tradable(held, hour(ENDED))
    assert "NEWUSDT" not in tradable(held, hour(LISTED - 1)) and "NEWUSDT" in tradable(held, hour(LISTED))

    world.load(world.settings)
    assert [group.currencies for group in world.partitions.groups][:2] == world.groups[:2], "as they were"


def test_the_exchange_is_asked_once_an_hour_and_what_is_unchanged_is_looked_at_once_a_day(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC) - timedelta(hours=2)
    monkeypatch.setattr(listings, "LOOK_EVERY", timedelta(hours=1))
    (asked,), cursor = listings.look(world.instance, world.settings, {}, now)
    assert asked.asset_selection == [dg.AssetKey("listings")] and RANGE_START not in asked.tags
    assert RANGE_END not in asked.tags
    world.hours = 24 * 61
    assert listings.look(world.instance, world.settings, cursor, now + timedelta(minutes=59)) == ([], cursor)
    (_,), cursor = listings.look(world.instance, world.settings, cursor, now + timedelta(hours=1))
    world.instance.report_runless_asset_event(dg.AssetMaterialization("listings"))
    assert listings.look(world.instance, world.settings, cursor, now + timedelta(hours=3))[0] == []
    assert len(listings.look(world.instance, world.settings, cursor, now + timedelta(days=1, hours=3))[0]) == 1


def test_an_exchange_that_gives_no_answer_is_asked_again_at_the_next_tick(world: World) -> None:
    away = world.settings.model_copy(update={"exchange_url": "http://127.0.0.1:9"})
    assert listings.look(world.instance, away, {}, datetime.now(UTC)) == ([], {})

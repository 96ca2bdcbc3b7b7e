"""Schedules and sensors evaluated as the daemon does, on a real instance and a real store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.lake import Lake
from cryptobot_assets_tests.instances import opened_instance

CURRENCIES = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
RANGE = tuple(f"dagster/asset_partition_range_{end}" for end in ("start", "end"))


def make_settings(home: Path, **settings: object) -> Settings:
    """1h klines in partitions of a day, three currencies, five days to catch up."""
    chosen = {"interval": "1h", "partition": "day", "start_day": "2024-01-01", "catch_up_days": 5, **settings}
    return Settings.load(home=home, currencies=",".join(CURRENCIES), **chosen)


@dataclass(frozen=True)
class Platform:
    """One deployment: what is loaded, what is recorded, what is stored."""

    settings: Settings
    repository: dg.RepositoryDefinition
    instance: dg.DagsterInstance

    @property
    def partitions(self) -> Partitions:
        return Partitions(self.settings)

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_url)

    def record(self, asset: str, keys: Iterable[str]) -> None:
        """Record partitions as materialized, in this order."""
        for key in keys:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key))

    def run_and_fail(self, asset: str, key: str, error: Exception) -> str:
        """A run over one partition that raises this error; its id."""

        @dg.asset(name=asset, partitions_def=self.partitions.market_data(self.partitions.groups[0]))
        def failing() -> None:
            raise error

        return dg.materialize([failing], instance=self.instance, partition_key=key, raise_on_error=False).run_id

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """The run that was asked for, done here."""
        return self.repository.get_implicit_global_asset_job_def().execute_in_process(
            asset_selection=request.asset_selection, tags=request.tags, instance=self.instance, raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )  # fmt: skip

    def tick(self, schedule: str, moment: str) -> list[dg.RunRequest] | str:
        """What a schedule asks for at a moment, or why it asks for nothing."""
        at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        context = dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=at, repository_def=self.repository,
            resources={"store": self.lake},
        )  # fmt: skip
        done = self.repository.get_schedule_def(schedule).evaluate_tick(context)
        return list(done.run_requests) or done.skip_message

    def look(self, sensor: str, cursor: str | None) -> tuple[list[dg.RunRequest] | str, str | None]:
        """What a sensor asks for, or why it asks for nothing, and its next cursor."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=cursor, repository_def=self.repository, resources={"store": self.lake}
        )
        done = self.repository.get_sensor_def(sensor).evaluate_tick(context)
        return list(done.run_requests) or done.skip_message, done.cursor


@contextmanager
def open_platform(home: Path, **settings: object) -> Iterator[Platform]:
    """The platform of these settings, its records on disk beside the home."""
    loaded = make_settings(home, **settings)
    with opened_instance(home / "dagster") as instance:
        yield Platform(loaded, build_definitions(loaded).get_repository_def(), instance)


def ranges_asked(requests: list[dg.RunRequest] | str) -> list[tuple[str, str]]:
    """First and last partition key of every run asked for."""
    assert not isinstance(requests, str), requests
    return [(one.tags[RANGE[0]], one.tags[RANGE[1]]) for one in requests]


def keys(days: Iterable[str], currencies: Iterable[str] = CURRENCIES) -> list[str]:
    """Partition keys of all currencies over days."""
    return [f"{currency}|{day}" for day in days for currency in currencies]

"""What runs by the clock: ingestion at 00:00 and 12:00 UTC, indicators an hour later."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from cryptobot_assets.partitions import Partitions


def market_data_schedules(partitions: Partitions) -> dg.Definitions:
    """Schedules of market data, which are off until someone switches them on."""
    return dg.Definitions(
        schedules=[
            _ranged_schedule("ingestion_schedule", "klines", "0 0,12 * * *", partitions),
            _ranged_schedule("indicators_schedule", "indicators", "0 1,13 * * *", partitions),
        ]
    )


def _ranged_schedule(name: str, layer: str, cron: str, partitions: Partitions) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        # An asset job of our own would be refused: its assets would have to share one partitions definition.
        job_name=IMPLICIT_ASSET_JOB_NAME,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=(
            f"One run a group over yesterday's and today's {partitions.span_name} of its currencies; running it "
            "again writes the same rows."
        ),
    )
    def newest(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        tick = context.scheduled_execution_time
        for asset, first, last in newest_ranges(partitions, layer, tick):
            yield dg.RunRequest(
                run_key=f"{asset}-{tick:%Y-%m-%dT%H:%M}",
                asset_selection=[dg.AssetKey(asset)],
                tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
            )

    return newest


def newest_ranges(partitions: Partitions, layer: str, moment: datetime) -> Iterator[tuple[str, str, str]]:
    """Each group's asset of a layer, and its first and last key over the spans that hold yesterday and today."""
    keys = partitions.span_keys((moment - timedelta(days=1)).date(), moment.date())
    for group in partitions.groups:
        yield group.asset(layer), f"{group.currencies[0]}|{keys[0]}", f"{group.currencies[-1]}|{keys[-1]}"

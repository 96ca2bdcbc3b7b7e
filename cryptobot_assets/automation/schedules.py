"""What runs by the clock: ingestion at 00:00 and 12:00 UTC, indicators an hour later."""

from datetime import datetime, timedelta

import dagster as dg

from cryptobot_assets.partitions import Partitions


def market_data_schedules(partitions: Partitions) -> dg.Definitions:
    """Jobs of market data and their schedules, which are off until someone switches them on."""
    klines_job = dg.define_asset_job("klines_job", selection="klines")
    indicators_job = dg.define_asset_job("indicators_job", selection="indicators")
    return dg.Definitions(
        jobs=[klines_job, indicators_job],
        schedules=[
            _ranged_schedule("ingestion_schedule", klines_job, "0 0,12 * * *", partitions),
            _ranged_schedule("indicators_schedule", indicators_job, "0 1,13 * * *", partitions),
        ],
    )


def _ranged_schedule(name: str, job, cron: str, partitions: Partitions) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=(
            f"One run over yesterday's and today's {partitions.span_name} of every currency; running it again "
            "writes the same rows."
        ),
    )
    def newest(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        first, last = newest_range(partitions, context.scheduled_execution_time)
        return dg.RunRequest(
            run_key=f"{name}-{context.scheduled_execution_time:%Y-%m-%dT%H:%M}",
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
        )

    return newest


def newest_range(partitions: Partitions, moment: datetime) -> tuple[str, str]:
    """First and last partition key of every currency over the spans that hold yesterday and today."""
    keys = partitions.span_keys((moment - timedelta(days=1)).date(), moment.date())
    currencies = partitions.settings.currencies
    return f"{currencies[0]}|{keys[0]}", f"{currencies[-1]}|{keys[-1]}"

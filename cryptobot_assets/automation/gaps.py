"""When gaps are looked for and mended: each night, over this month and the one before."""

from datetime import timedelta

import dagster as dg

from cryptobot_assets.automation.clock import market_now
from cryptobot_assets.automation.records import CRASH_RETRIES, RANGE_END, RANGE_START, schedule_status
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.store import Store


def gap_schedules(partitions: Partitions) -> dg.Definitions:
    """The job of the gap ledger and of repair, and its schedule."""
    settings = partitions.settings
    gaps_job = dg.define_asset_job("gaps_job", selection=["gap_ledger", "gap_repair"])

    @dg.schedule(
        job=gaps_job,
        cron_schedule="30 1 * * *",
        execution_timezone="UTC",
        default_status=schedule_status(settings),
        description="Classes the gaps of this month and the one before, and mends what is missing on our side.",
    )
    def gaps_schedule(context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[Store]) -> dg.RunRequest:
        tick = context.scheduled_execution_time
        this = market_now(settings, store, tick).date().replace(day=1)
        before = max((this - timedelta(days=1)).replace(day=1), settings.start_day.replace(day=1))
        return dg.RunRequest(
            run_key=f"gaps {tick:%Y-%m-%dT%H:%M}",
            tags={RANGE_START: before.isoformat(), RANGE_END: this.isoformat(), **CRASH_RETRIES},
        )

    return dg.Definitions(jobs=[gaps_job], schedules=[gaps_schedule])

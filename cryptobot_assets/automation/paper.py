"""The paper bot by the clock."""

import dagster as dg

from cryptobot_assets.automation.records import ASSET_JOB, CRASH_RETRIES, schedule_status
from cryptobot_assets.paper import is_due
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.store import Store

LEDGER, CHAMPION = dg.AssetKey("paper_ledger"), dg.AssetKey("champion_model")


def paper_schedules(partitions: Partitions) -> dg.Definitions:
    """The paper bot's schedule."""
    settings = partitions.settings

    @dg.schedule(
        name="paper_schedule",
        job_name=ASSET_JOB,
        cron_schedule=settings.paper_cron,
        execution_timezone="UTC",
        default_status=schedule_status(settings),
        description=(
            "Books every hour whose next klines and indicators are stored by now; how soon after the hour that is, the "
            "clock of ingestion decides."
        ),
    )
    def paper(
        context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[Store]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        if context.instance.get_latest_materialization_event(CHAMPION) is None:
            return dg.SkipReason("there is no champion yet")
        if not is_due(store, settings):
            return dg.SkipReason("every hour that can be booked is")
        tick = context.scheduled_execution_time
        return [
            dg.RunRequest(
                job_name=ASSET_JOB, asset_selection=[LEDGER], run_key=f"paper {tick:%Y-%m-%dT%H:%M}", tags=CRASH_RETRIES
            )
        ]

    return dg.Definitions(schedules=[paper])

"""When served predictions are stored, and what became of them."""

import dagster as dg

from cryptobot_assets.automation.records import ASSET_JOB, CRASH_RETRIES, schedule_status
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.served_spool import FOLDER, is_empty
from cryptobot_assets.storage.store import NO_VERSION, SERVED_PREDICTIONS, Store

ASSETS = ("served_predictions", "prediction_outcomes")


def served_schedules(partitions: Partitions) -> dg.Definitions:
    """The schedule of served predictions."""
    settings = partitions.settings

    @dg.schedule(
        name="served_schedule",
        job_name=ASSET_JOB,
        cron_schedule=settings.served_cron,
        execution_timezone="UTC",
        default_status=schedule_status(settings),
        description="Stores the predictions that were served, and what became of those of 24 hours ago.",
    )
    def served(context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[Store]) -> dg.RunRequest | dg.SkipReason:
        if is_empty(settings.home / FOLDER) and store.version(SERVED_PREDICTIONS) == NO_VERSION:
            return dg.SkipReason("nothing has been served yet")
        return dg.RunRequest(
            job_name=ASSET_JOB,
            asset_selection=[dg.AssetKey(name) for name in ASSETS],
            run_key=f"served {context.scheduled_execution_time:%Y-%m-%dT%H:%M}",
            tags=CRASH_RETRIES,
        )

    return dg.Definitions(schedules=[served])

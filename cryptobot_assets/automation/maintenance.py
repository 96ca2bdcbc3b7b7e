"""When the store is cared for: backed up daily, its upkeep on Sundays."""

import dagster as dg

from cryptobot_assets.automation.records import schedule_status
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings

BACKUP = "Backs up what changed since the backup before."
UPKEEP = "Merges small files and lets go of versions that nobody can ask for any more."


def maintenance_schedules(partitions: Partitions) -> dg.Definitions:
    """Jobs of the store's care and their schedules."""
    settings = partitions.settings
    return dg.Definitions.merge(
        _scheduled("backup", "store_backup", settings.backup_cron, BACKUP, settings),
        _scheduled("maintenance", "store_maintenance", settings.maintenance_cron, UPKEEP, settings),
    )


def _scheduled(name: str, asset: str, cron: str, description: str, settings: Settings) -> dg.Definitions:
    job = dg.define_asset_job(f"{name}_job", selection=asset)
    schedule = dg.ScheduleDefinition(
        name=f"{name}_schedule",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=schedule_status(settings),
        description=description,
    )
    return dg.Definitions(jobs=[job], schedules=[schedule])

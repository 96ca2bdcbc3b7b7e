"""When the store is cared for: its upkeep on Sundays."""

import dagster as dg

from cryptobot_assets.automation.records import schedule_status
from cryptobot_assets.partitions import Partitions


def maintenance_schedules(partitions: Partitions) -> dg.Definitions:
    """Jobs of the store's care and their schedules."""
    upkeep = dg.define_asset_job("maintenance_job", selection="store_maintenance")
    return dg.Definitions(
        jobs=[upkeep],
        schedules=[
            dg.ScheduleDefinition(
                name="maintenance_schedule",
                job=upkeep,
                cron_schedule="30 4 * * 0",
                execution_timezone="UTC",
                default_status=schedule_status(partitions.settings),
                description="Merges small files and lets go of versions that nobody can ask for any more.",
            )
        ],
    )

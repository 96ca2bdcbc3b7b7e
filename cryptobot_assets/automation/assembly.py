"""Everything that runs without a hand: one function a concern, each in a file of its own."""

import dagster as dg

from cryptobot_assets.automation.alerting import alerts
from cryptobot_assets.automation.decay import decay_sensors
from cryptobot_assets.automation.following import following_sensors
from cryptobot_assets.automation.gaps import gap_schedules
from cryptobot_assets.automation.listings import listing_sensors
from cryptobot_assets.automation.maintenance import maintenance_schedules
from cryptobot_assets.automation.models import model_schedules
from cryptobot_assets.automation.paper import paper_schedules
from cryptobot_assets.automation.schedules import market_data_schedules
from cryptobot_assets.automation.served import served_schedules
from cryptobot_assets.partitions import Partitions

CONCERNS = (
    alerts,
    listing_sensors,
    market_data_schedules,
    following_sensors,
    gap_schedules,
    model_schedules,
    decay_sensors,
    paper_schedules,
    served_schedules,
    maintenance_schedules,
)
"""Each returns the jobs, schedules and sensors of one concern."""


def automation(partitions: Partitions) -> dg.Definitions:
    """Jobs, schedules and sensors of one deployment."""
    return dg.Definitions.merge(*(concern(partitions) for concern in CONCERNS))

"""Everything Dagster loads: assets, resources, jobs and schedules of one deployment."""

import dagster as dg

from cryptobot_assets.assets.features import feature_assets
from cryptobot_assets.assets.market_data import market_data_assets
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.resources import make_resources
from cryptobot_assets.settings import Settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """The definitions of the deployment these settings describe."""
    partitions = Partitions(settings)
    return dg.Definitions(
        assets=[*market_data_assets(partitions), *feature_assets(partitions)],
        resources=make_resources(settings),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of this process's settings."""
    return build_definitions(Settings.load())

"""Everything Dagster loads: assets, resources and automation of one deployment."""

import warnings

import dagster as dg

from cryptobot_assets.assets.challenger import challenger_assets
from cryptobot_assets.assets.decay import decay_assets
from cryptobot_assets.assets.evaluation import evaluation_assets
from cryptobot_assets.assets.features import feature_assets
from cryptobot_assets.assets.gap_ledger import gap_ledger_assets
from cryptobot_assets.assets.gap_repair import gap_repair_assets
from cryptobot_assets.assets.listings import listing_assets
from cryptobot_assets.assets.maintenance import maintenance_assets
from cryptobot_assets.assets.market_data import market_data_assets
from cryptobot_assets.assets.paper import paper_assets
from cryptobot_assets.assets.predictions import prediction_assets
from cryptobot_assets.assets.promotion import promotion_assets
from cryptobot_assets.assets.served import served_assets
from cryptobot_assets.assets.training import model_asset_name, training_assets
from cryptobot_assets.automation.assembly import automation
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.resources import make_resources
from cryptobot_assets.settings import Settings
from cryptobot_assets.universe import open_partitions


def build_definitions(settings: Settings, partitions: Partitions | None = None) -> dg.Definitions:
    """The definitions of the deployment these settings describe; `partitions` where they have been opened already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _build(partitions or open_partitions(settings))


def _build(partitions: Partitions) -> dg.Definitions:
    models = [model_asset_name(name) for name in ALGORITHMS]
    assets = dg.Definitions(
        assets=[
            *listing_assets(partitions),
            *market_data_assets(partitions),
            *gap_ledger_assets(partitions),
            *gap_repair_assets(partitions),
            *feature_assets(partitions),
            *training_assets(partitions),
            *prediction_assets(partitions, models),
            *evaluation_assets(partitions),
            *promotion_assets(partitions),
            *challenger_assets(partitions, models),
            *decay_assets(partitions),
            *paper_assets(partitions),
            *served_assets(partitions),
            *maintenance_assets(partitions),
        ],
        resources=make_resources(partitions.settings),
        # A step in a process of its own would import everything again and read each training set again.
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(assets, automation(partitions))


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of this process's settings."""
    return build_definitions(Settings.load())

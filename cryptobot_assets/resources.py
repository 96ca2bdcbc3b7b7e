"""Resources: doors to the outside. Configuration in, plain objects out; tests hand in plain objects."""

from pathlib import Path
from typing import Any

import dagster as dg

from cryptobot_assets.profile import expected_market
from cryptobot_assets.progress import Progress, Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.archive import Archive
from cryptobot_assets.storage.archive_index import ArchiveIndex
from cryptobot_assets.storage.exchange_client import ExchangeClient, exchange_at
from cryptobot_assets.storage.history import History
from cryptobot_assets.storage.listings import ListingSource
from cryptobot_assets.storage.metadata import metadata_urls
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import Store, open_store
from cryptobot_assets.storage.weight import Budget
from cryptobot_assets.storage.weight_machines import machines_of


class HistoryResource(dg.ConfigurableResource[History]):
    """The exchange's klines: its REST market data and, unless None, its archives."""

    exchange_url: str
    archive_url: str | None
    home: str

    def create_resource(self, context: dg.InitResourceContext) -> History:
        exchange = open_exchange(self.exchange_url, self.home)
        return History(exchange, Archive(self.archive_url) if self.archive_url else None)


class ListingSourceResource(dg.ConfigurableResource[ListingSource]):
    """When currencies traded, as the exchange and, unless None, the directory of its archives tell it."""

    exchange_url: str
    archive_index_url: str | None
    interval: str
    home: str

    def create_resource(self, context: dg.InitResourceContext) -> ListingSource:
        exchange = open_exchange(self.exchange_url, self.home)
        index = ArchiveIndex(self.archive_index_url) if self.archive_index_url else None
        return ListingSource(exchange, index, self.interval)


class StoreResource(dg.ConfigurableResource[Store]):
    """The store that holds klines, indicators and predictions."""

    home: str

    def create_resource(self, context: dg.InitResourceContext) -> Store:
        return open_store(Settings.load(home=self.home))


class RegistryResource(dg.ConfigurableResource[Registry]):
    """The MLflow registry; without an address, the one on this home's metadata server."""

    home: str

    def create_resource(self, context: dg.InitResourceContext) -> Registry:
        return open_registry(Settings.load(home=self.home))


class ProgressResource(dg.ConfigurableResource[Progress]):
    """Progress of long work; silent unless a command watches."""

    def create_resource(self, context: dg.InitResourceContext) -> Progress:
        return Silent()


def open_exchange(url: str, home: str) -> ExchangeClient:
    """The exchange behind a home, its limit shared with every process and machine of the deployment."""
    budget = Budget(url, machines=machines_of(Settings.load(home=home)))
    return exchange_at(url, expected_market=expected_market(Path(home)), budget=budget)


def open_registry(settings: Settings) -> Registry:
    """The registry the settings name; starts the home's metadata server when that is the one."""
    address = settings.mlflow_tracking_uri or metadata_urls(settings).mlflow
    return Registry(address, artifact_root=settings.artifacts_address)


def make_resources(settings: Settings) -> dict[str, Any]:
    """The resources of one deployment."""
    return {
        "history": HistoryResource(
            exchange_url=settings.exchange_url, archive_url=settings.archive_address, home=str(settings.home)
        ),
        "listing_source": ListingSourceResource(
            exchange_url=settings.exchange_url,
            archive_index_url=settings.archive_index_address,
            interval=settings.interval,
            home=str(settings.home),
        ),
        "store": StoreResource(home=str(settings.home)),
        "registry": RegistryResource(home=str(settings.home)),
        "progress": ProgressResource(),
    }

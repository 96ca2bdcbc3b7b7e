"""Resources: doors to the outside. Configuration in, plain objects out; tests hand in plain objects."""

from typing import Any

import dagster as dg

from cryptobot_assets.progress import Progress, Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
from cryptobot_assets.storage.metadata import metadata_urls
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import Store, open_store


class ExchangeResource(dg.ConfigurableResource[Exchange]):
    """The exchange's REST market data."""

    url: str

    def create_resource(self, context: dg.InitResourceContext) -> Exchange:
        return Exchange(self.url)


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


def open_registry(settings: Settings) -> Registry:
    """The registry the settings name; starts the home's metadata server when that is the one."""
    address = settings.mlflow_tracking_uri or metadata_urls(settings).mlflow
    return Registry(address, artifact_root=settings.home / "mlflow")


def make_resources(settings: Settings) -> dict[str, Any]:
    """The resources of one deployment."""
    return {
        "exchange": ExchangeResource(url=settings.exchange_url),
        "store": StoreResource(home=str(settings.home)),
        "registry": RegistryResource(home=str(settings.home)),
        "progress": ProgressResource(),
    }

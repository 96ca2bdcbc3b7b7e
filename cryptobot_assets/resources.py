"""Resources: doors to the outside. Configuration in, plain objects out; tests hand in plain objects."""

from typing import Any

import dagster as dg

from cryptobot_assets.progress import Progress, Silent
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange import Exchange
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


class ProgressResource(dg.ConfigurableResource[Progress]):
    """Progress of long work; silent unless a command watches."""

    def create_resource(self, context: dg.InitResourceContext) -> Progress:
        return Silent()


def make_resources(settings: Settings) -> dict[str, Any]:
    """The resources of one deployment."""
    return {
        "exchange": ExchangeResource(url=settings.exchange_url),
        "store": StoreResource(home=str(settings.home)),
        "progress": ProgressResource(),
    }

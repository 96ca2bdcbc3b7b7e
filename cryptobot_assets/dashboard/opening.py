"""The stores a dashboard may look at, and the registry behind it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.postgres_address import shown
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import Store, Table, open_store


@dataclass(frozen=True)
class Place:
    """One store, and the settings that name it.

    Attributes:
        lock: held while it is read, because a page is made in a thread of its own.
    """

    settings: Settings
    store: Store = field(repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def address(self) -> str:
        """Where it is, without a password."""
        return shown(self.settings.lake_url)

    def version(self, *tables: Table) -> tuple[str, ...]:
        """Versions of some tables: what was made of them holds as long as these do."""
        with self.lock:
            return tuple(self.store.version(table) for table in tables)


def addresses(settings: Settings) -> dict[str, str]:
    """The stores to choose among, by what is shown of them: the deployment's own first.

    A browser never names an address itself: it would have this machine open whatever a page says,
    with this machine's rights.
    """
    named = (settings.lake_url, *settings.dashboard_stores)
    return {shown(url): url for url in named}


def open_place(settings: Settings, url: str) -> Place:
    """The store at one of `addresses`."""
    there = settings if url == settings.lake_url else settings.model_copy(update={"store_url": url})
    return Place(there, open_store(there))


def open_models(settings: Settings) -> Registry:
    """The registry the settings name; starts the home's metadata server when that is the one."""
    from cryptobot_assets.storage.metadata import metadata_urls

    address = settings.mlflow_tracking_uri or metadata_urls(settings).mlflow
    return Registry(address, artifact_root=settings.artifacts_address)

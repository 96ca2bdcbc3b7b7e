"""`cryptobot metrics`: what Prometheus asks about pipeline, models and home."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping

from cryptobot_assets.cli.console import say
from cryptobot_assets.dagster_home import deployment_environment
from cryptobot_assets.home import require_writable_home
from cryptobot_assets.monitoring.exposition import exposing, exposition
from cryptobot_assets.monitoring.families import Figure
from cryptobot_assets.monitoring.watching import Open, Read, Watcher
from cryptobot_assets.processes import Supervisor, require_free_port
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import release_metadata

_opening = threading.Lock()
"""Held while a source starts the metadata server, which two of them share."""


def run_metrics(settings: Settings, *, once: bool, host: str) -> None:
    """Read the sources in the background and answer until Ctrl-C; with `once`, read, print and end."""
    require_writable_home(settings.home)
    watcher = Watcher(sources(settings), every_seconds=settings.metrics_seconds)
    try:
        if once:
            say(exposition(watcher.read_all))
            return
        port = require_free_port(settings.metrics_port, "the metrics", setting="CRYPTOBOT_METRICS_PORT")
        logging.basicConfig(format="%(asctime)s [%(levelname)s] %(message)s", level=logging.WARNING)
        watcher.start()
        with Supervisor() as supervisor, exposing(watcher.figures, port, host=host):
            say(f"{'Metrics':<20}http://{host}:{port}/metrics")
            supervisor.wait()
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        watcher.stop()
        release_metadata(settings)


def sources(settings: Settings) -> Mapping[str, Open]:
    """What is read, by name; each is opened in its own thread, so that one that is away holds nobody up."""
    return {
        "home": lambda: _home(settings),
        "store": lambda: _store(settings),
        "registry": lambda: _registry(settings),
        "dagster": lambda: _dagster(settings),
    }


def _home(settings: Settings) -> Read:
    from cryptobot_assets.monitoring.at_home import home_figures

    def read() -> list[Figure]:
        return home_figures(settings.home)

    return read


def _store(settings: Settings) -> Read:
    from cryptobot_assets.monitoring.stored import StoreWatch
    from cryptobot_assets.storage.store import open_store

    return StoreWatch(open_store(settings), settings)


def _registry(settings: Settings) -> Read:
    from cryptobot_assets.monitoring.registered import RegistryWatch
    from cryptobot_assets.partitions import Partitions
    from cryptobot_assets.resources import open_registry

    with _opening:
        registry = open_registry(settings).require_answer()
    return RegistryWatch(registry, settings, Partitions(settings).markets)


def _dagster(settings: Settings) -> Read:
    import dagster as dg

    from cryptobot_assets.definitions import build_definitions
    from cryptobot_assets.monitoring.orchestrated import DagsterWatch

    with _opening:
        os.environ.update(deployment_environment(settings))
        instance = dg.DagsterInstance.get()
    return DagsterWatch(instance, build_definitions(settings).resolve_asset_graph())

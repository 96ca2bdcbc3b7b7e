"""Opening for business: the working parts of the service, as the environment sets them."""

from __future__ import annotations

import logging

from cryptobot_assets.serving.cache import ModelCache
from cryptobot_assets.serving.catalogue import Catalogue
from cryptobot_assets.serving.command import CACHE_FOLDER, LIMITS_FOLDER
from cryptobot_assets.serving.desk import POOLED_MARKET, Desk
from cryptobot_assets.serving.features import StoreFeatureSource
from cryptobot_assets.serving.keys import KeyRing
from cryptobot_assets.serving.lifeline import end_with_supervisor
from cryptobot_assets.serving.limits import RateLimit
from cryptobot_assets.serving.lineup import ModelSource
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.prediction_log import SpoolLog
from cryptobot_assets.serving.shadow import ShadowThread
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import pooled_currencies
from cryptobot_assets.storage.served_spool import FOLDER as SPOOL_FOLDER
from cryptobot_assets.storage.store import open_store


def open_desk() -> Desk:
    """The working parts, as the environment sets them; the models arrive in the background."""
    settings = Settings.load()
    _log_to_stderr()
    end_with_supervisor()
    metrics = Metrics()
    catalogue = Catalogue(
        lambda: _open_models(settings),
        ModelCache(settings.home / CACHE_FOLDER),
        market=settings.service_market,
        metrics=metrics,
    )
    expected = {*settings.currencies, settings.service_market} - {"all", POOLED_MARKET}
    store = open_store(settings)
    source = StoreFeatureSource(
        store,
        interval=settings.interval,
        expected=sorted(expected),
        universe=lambda: pooled_currencies(settings, store),
    )
    log, shadow = SpoolLog(settings.home / SPOOL_FOLDER, metrics), ShadowThread(metrics)
    for part in (catalogue, log, shadow):
        part.start()

    def close() -> None:
        for part in (shadow, log, catalogue):  # a shadow's prediction is logged too
            part.stop()
        if settings.mlflow_tracking_uri is None:
            _release_metadata(settings)

    return Desk(
        shelf=catalogue,
        source=source,
        market=settings.service_market,
        keys=KeyRing(settings.api_key, settings.api_keys_file),
        limit=RateLimit(settings.home / LIMITS_FOLDER, settings.rate_limit) if settings.rate_limit else None,
        log=log,
        shadow=shadow,
        challenger_share=settings.challenger_share,
        stalest_seconds=settings.stale_hours * 3600 or None,
        metrics=metrics,
        close=close,
    )


def _open_models(settings: Settings) -> ModelSource:
    """Imports MLflow, which takes seconds: only the catalogue's thread calls it."""
    from cryptobot_assets.serving.registry_models import RegistryModels
    from cryptobot_assets.storage.metadata import metadata_urls
    from cryptobot_assets.storage.registry import Registry

    uri = settings.mlflow_tracking_uri or metadata_urls(settings).mlflow
    return RegistryModels(Registry(uri), settings.service_market)


def _release_metadata(settings: Settings) -> None:
    from cryptobot_assets.storage.metadata import release_metadata

    release_metadata(settings)


def _log_to_stderr() -> None:
    """BentoML sets up its own loggers only; ours say which models came and went."""
    ours = logging.getLogger("cryptobot_assets")
    if not ours.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        ours.propagate = False

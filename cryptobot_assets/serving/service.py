"""The BentoML service: `bentoml serve cryptobot_assets.serving.service:PredictionService`.

BentoML brings the processes, the socket and the shutdown; the routes are the app's. A middleware
hands every HTTP request straight to the app, so that health, metrics and refusals are the
contract's and not BentoML's own.
"""

from __future__ import annotations

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from cryptobot_assets.serving.app import Desk, make_app
from cryptobot_assets.serving.cache import ModelCache
from cryptobot_assets.serving.catalogue import Catalogue
from cryptobot_assets.serving.command import CACHE_FOLDER, REQUEST_SECONDS
from cryptobot_assets.serving.features import StoreFeatureSource
from cryptobot_assets.serving.lineup import ModelSource
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import metadata_urls, release_metadata
from cryptobot_assets.storage.store import open_store


def open_desk() -> Desk:
    """The working parts, as the environment sets them; the models arrive in the background."""
    settings = Settings.load()
    catalogue = Catalogue(
        lambda: _open_models(settings), ModelCache(settings.home / CACHE_FOLDER), market=settings.service_market
    )
    expected = () if settings.currencies == ("all",) else settings.currencies
    source = StoreFeatureSource(open_store(settings), interval=settings.interval, expected=expected)
    catalogue.start()

    def close() -> None:
        catalogue.stop()
        if settings.mlflow_tracking_uri is None:
            release_metadata(settings)

    return Desk(shelf=catalogue, source=source, market=settings.service_market, api_key=settings.api_key, close=close)


def _open_models(settings: Settings) -> ModelSource:
    """Imports MLflow, which takes seconds: only the catalogue's thread calls it."""
    from cryptobot_assets.serving.registry_models import RegistryModels
    from cryptobot_assets.storage.registry import Registry

    uri = settings.mlflow_tracking_uri or metadata_urls(settings).mlflow
    return RegistryModels(Registry(uri), settings.service_market)


app = make_app(open_desk)


class StraightToApp:
    """ASGI middleware: HTTP goes to the app, the rest (startup and shutdown) to BentoML."""

    def __init__(self, bento: ASGIApp) -> None:
        self._bento = bento

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope["type"] == "http" else self._bento)(scope, receive, send)


@bentoml.service(
    name="cryptobot_predictions",
    traffic={"timeout": REQUEST_SECONDS},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(app, path="/")
class PredictionService:
    """Predicted 24 h returns by the champion model of a market."""


PredictionService.add_asgi_middleware(StraightToApp)

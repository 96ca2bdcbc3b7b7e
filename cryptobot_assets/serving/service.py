"""The BentoML service: `bentoml serve cryptobot_assets.serving.service:PredictionService`.

BentoML brings the processes, the socket and the shutdown; the routes are the app's. A middleware
hands every HTTP request straight to the app, so that health, metrics and refusals are the
contract's and not BentoML's own.
"""

from __future__ import annotations

from typing import Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from cryptobot_assets.serving.app import make_app
from cryptobot_assets.serving.command import REQUEST_SECONDS
from cryptobot_assets.serving.desk import Desk


def _open_desk() -> Desk:
    """Imports what only workers need: BentoML's supervisor loads this module too."""
    from cryptobot_assets.serving.opening import open_desk

    return open_desk()


app = make_app(_open_desk)


class StraightToApp:
    """ASGI middleware: HTTP goes to the app, the rest (startup and shutdown) to BentoML.

    BentoML puts this inside its own middlewares, of which tracing stays even when it is switched off and costs
    a fifth of a request; so at startup it steps before them.
    """

    def __init__(self, bento: ASGIApp) -> None:
        self._bento = bento

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            outermost = scope["app"]
            outermost.middleware_stack = StraightToApp(outermost.middleware_stack)
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


service: Any = PredictionService  # its decorators made a service of it, which mypy does not see
service.add_asgi_middleware(StraightToApp)

"""The routes of the prediction service, as a Starlette app that BentoML serves (see `service`).

door (key, limit, deadline, count) -> route -> answer (see `answers`)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cryptobot_assets.errors import NoModel
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.serving import answers
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.door import Door
from cryptobot_assets.serving.openapi import openapi_document
from cryptobot_assets.serving.replies import ApiError, json_response, shown

ROUTES: dict[str, str] = {
    "/predict": "POST",
    "/predict_features": "POST",
    **{f"/predict_{algorithm}": "POST" for algorithm in ALGORITHMS},
    "/rank": "POST",
    "/models": "GET",
    "/livez": "GET",
    "/readyz": "GET",
    "/metrics": "GET",
    "/openapi.json": "GET",
    "/": "GET",
}

Endpoint = Callable[[Request, Desk], Awaitable[Response]]


class PredictionApp(Starlette):
    """Starlette's app, lifespan and state, with the door straight before the endpoints.

    Every route is one fixed path, so that a look into a dictionary finds it; Starlette's own layers (routes
    matched one by one, two of error handling) cost more than the prediction does (`benchmarks/serving.py`).
    """

    def build_middleware_stack(self) -> ASGIApp:
        """What every request passes, in place of Starlette's own."""
        return Door(Routes(ENDPOINTS), self.router)


def make_app(open_desk: Callable[[], Desk]) -> PredictionApp:
    """The app; `open_desk` is called when it starts, and its `close` when it stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.desk = desk = open_desk()
        yield
        await run_in_threadpool(desk.close)

    return PredictionApp(lifespan=lifespan)


class Routes:
    """ASGI app that hands a request to the endpoint of its path; raises `ApiError` where there is none."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            raise ApiError(404, "not_found", f"no route {shown(path)}; GET / lists the routes")
        scope["route_label"] = path
        allowed = ROUTES[path]
        if method != allowed and (method, allowed) != ("HEAD", "GET"):
            message = f"{shown(path)} does not answer {shown(method)}"
            headers = {"Allow": "GET, HEAD" if allowed == "GET" else allowed}
            raise ApiError(405, "method_not_allowed", message, headers=headers)
        response = await endpoint(Request(scope, receive), scope["app"].state.desk)
        await response(scope, receive, send)


async def _models(request: Request, desk: Desk) -> Response:
    return json_response(desk.shelf.listing())


async def _livez(request: Request, desk: Desk) -> Response:
    return json_response({"status": "alive"})


async def _readyz(request: Request, desk: Desk) -> Response:
    return json_response({"status": "ready", "model": desk.shelf.champion().block})


async def _metrics(request: Request, desk: Desk) -> Response:
    try:
        desk.shelf.champion()
        desk.metrics.champion_loaded(loaded=True)
    except NoModel:
        desk.metrics.champion_loaded(loaded=False)
    desk.metrics.registry_faulty(faulty=desk.shelf.fault() is not None)
    return await run_in_threadpool(desk.metrics.exposition)


async def _openapi(request: Request, desk: Desk) -> Response:
    return json_response(openapi_document(ALGORITHMS))


async def _index(request: Request, desk: Desk) -> Response:
    routes = [f"{method} {path}" for path, method in ROUTES.items() if path != "/"]
    return json_response({"service": "cryptobot predictions", "market": desk.market, "routes": routes})


ENDPOINTS: dict[str, Endpoint] = {
    "/predict": answers.predict,
    "/predict_features": answers.predict_features,
    **{f"/predict_{algorithm}": partial(answers.predict_algorithm, algorithm=algorithm) for algorithm in ALGORITHMS},
    "/rank": answers.rank,
    "/models": _models,
    "/livez": _livez,
    "/readyz": _readyz,
    "/metrics": _metrics,
    "/openapi.json": _openapi,
    "/": _index,
}

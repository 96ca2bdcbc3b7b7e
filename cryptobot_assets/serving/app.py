"""The routes of the prediction service, as a Starlette app that BentoML serves (see `service`).

door (key, limit, deadline, count) -> route -> answer (see `answers`)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryptobot_assets.errors import NoModel, StoreError, UnknownCurrency
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.serving import answers
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.door import Door
from cryptobot_assets.serving.openapi import openapi_document
from cryptobot_assets.serving.replies import ApiError, bad_request, json_response, shown, unavailable

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


def make_app(open_desk: Callable[[], Desk]) -> Starlette:
    """The app; `open_desk` is called when it starts, and its `close` when it stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.desk = desk = open_desk()
        yield
        await run_in_threadpool(desk.close)

    endpoints: dict[str, Endpoint] = {
        "/predict": answers.predict,
        "/predict_features": answers.predict_features,
        **{
            f"/predict_{algorithm}": partial(answers.predict_algorithm, algorithm=algorithm) for algorithm in ALGORITHMS
        },
        "/rank": answers.rank,
        "/models": _models,
        "/livez": _livez,
        "/readyz": _readyz,
        "/metrics": _metrics,
        "/openapi.json": _openapi,
        "/": _index,
    }
    app = Starlette(
        routes=[Route(path, _labelled(path, endpoint), methods=[ROUTES[path]]) for path, endpoint in endpoints.items()],
        middleware=[Middleware(Door)],
        exception_handlers={
            ApiError: _refuse,
            HTTPException: _refuse_route,
            UnknownCurrency: _refuse_currency,
            NoModel: _refuse_without_model,
            StoreError: _refuse_without_store,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _labelled(path: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def labelled(request: Request) -> Response:
        request.scope["route_label"] = path
        return await endpoint(request, request.app.state.desk)

    return labelled


async def _models(request: Request, desk: Desk) -> Response:
    return json_response(desk.shelf.listing())


async def _livez(request: Request, desk: Desk) -> Response:
    return json_response({"status": "alive"})


async def _readyz(request: Request, desk: Desk) -> Response:
    return json_response({"status": "ready", "model": desk.shelf.champion().block})


async def _metrics(request: Request, desk: Desk) -> Response:
    try:
        desk.shelf.champion()
        desk.metrics.champion_loaded(True)
    except NoModel:
        desk.metrics.champion_loaded(False)
    desk.metrics.registry_faulty(desk.shelf.fault() is not None)
    return await run_in_threadpool(desk.metrics.exposition)


async def _openapi(request: Request, desk: Desk) -> Response:
    return json_response(openapi_document(ALGORITHMS))


async def _index(request: Request, desk: Desk) -> Response:
    routes = [f"{method} {path}" for path, method in ROUTES.items() if path != "/"]
    return json_response({"service": "cryptobot predictions", "market": desk.market, "routes": routes})


def _refuse(request: Request, error: Any) -> Response:
    return error.response()


def _refuse_route(request: Request, error: Any) -> Response:
    path = shown(request.url.path)
    refusals = {
        404: ("not_found", f"no route {path}; GET / lists the routes"),
        405: ("method_not_allowed", f"{path} does not answer {shown(request.method)}"),
    }
    code, message = refusals.get(error.status_code, ("refused", str(error.detail)))
    return ApiError(error.status_code, code, message, headers=error.headers).response()


def _refuse_currency(request: Request, error: Any) -> Response:
    return bad_request("unknown_currency", str(error), field="currency").response()


def _refuse_without_model(request: Request, error: Any) -> Response:
    return unavailable("no_model", str(error)).response()


def _refuse_without_store(request: Request, error: Any) -> Response:
    return unavailable("store_unavailable", "the store of indicators does not answer; try again later").response()

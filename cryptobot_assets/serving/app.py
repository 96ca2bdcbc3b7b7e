"""The routes of the prediction service, as a Starlette app that BentoML serves (see `service`).

    door (key, size, count) -> route -> body -> model off the shelf -> features -> reply

One prediction takes microseconds and runs on the event loop; whatever may read the store, load a
model or score many rows goes through a thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryptobot_assets.errors import NoModel, StoreError, UnknownCurrency
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.serving import bodies
from cryptobot_assets.serving.catalogue import LoadedModel, ModelShelf, ServedModel
from cryptobot_assets.serving.door import Door, read_body
from cryptobot_assets.serving.metrics import Metrics
from cryptobot_assets.serving.replies import (
    SHOWN_CHARACTERS,
    ApiError,
    bad_request,
    iso,
    json_response,
    shown,
    unavailable,
)

if TYPE_CHECKING:
    from cryptobot_assets.serving.features import FeatureRow, FeatureSource

POOLED_MARKET = "ALL"
INLINE_ROWS = 500
"""More rows than this are laid out and scored in a thread, so that others need not wait."""

ROUTES: dict[str, str] = {
    "/predict": "POST",
    "/predict_features": "POST",
    **{f"/predict_{algorithm}": "POST" for algorithm in ALGORITHMS},
    "/rank": "POST",
    "/models": "GET",
    "/livez": "GET",
    "/readyz": "GET",
    "/metrics": "GET",
    "/": "GET",
}


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the routes work with.

    Attributes:
        shelf: the loaded models.
        source: live features.
        market: one currency, the only one that is then answered for, or `ALL`.
        api_key: demanded of callers when set.
        close: called when the app stops.
        now: the clock that ages are measured by.
    """

    shelf: ModelShelf
    source: FeatureSource
    market: str
    api_key: str | None = None
    metrics: Metrics = field(default_factory=Metrics)
    close: Callable[[], None] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def currencies(self) -> tuple[str, ...] | None:
        """The currencies answered for, None for all that are stored."""
        return None if self.market == POOLED_MARKET else (self.market,)


Endpoint = Callable[[Request, Desk], Awaitable[Response]]


def make_app(open_desk: Callable[[], Desk]) -> Starlette:
    """The app; `open_desk` is called when it starts, and its `close` when it stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.desk = desk = open_desk()
        yield
        await run_in_threadpool(desk.close)

    endpoints: dict[str, Endpoint] = {
        "/predict": _predict,
        "/predict_features": _predict_features,
        **{f"/predict_{algorithm}": partial(_predict_algorithm, algorithm=algorithm) for algorithm in ALGORITHMS},
        "/rank": _rank,
        "/models": _models,
        "/livez": _livez,
        "/readyz": _readyz,
        "/metrics": _metrics,
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


async def _predict(request: Request, desk: Desk) -> Response:
    asked = bodies.read_currency(await read_body(request))
    return await _answer_currency(request, desk, desk.shelf.champion(), asked)


async def _predict_features(request: Request, desk: Desk) -> Response:
    asked = bodies.read_rows(await read_body(request))
    return await _answer_rows(request, desk, desk.shelf.champion(), asked)


async def _predict_algorithm(request: Request, desk: Desk, *, algorithm: str) -> Response:
    asked = bodies.read_prediction(await read_body(request))
    model = desk.shelf.held(algorithm) or await run_in_threadpool(desk.shelf.fetch, algorithm)
    if isinstance(asked, bodies.RowsRequest):
        return await _answer_rows(request, desk, model, asked)
    return await _answer_currency(request, desk, model, asked)


async def _answer_currency(request: Request, desk: Desk, model: ServedModel, asked: bodies.CurrencyRequest) -> Response:
    _require_currency(asked.currency, desk)
    row = await _feature_row(desk, model.loaded, asked)
    (predicted,) = await _score(model.loaded, row.x[np.newaxis])
    desk.metrics.predicted(request.scope["route_label"], 1)
    return json_response(
        {
            "currency": row.currency,
            "time": iso(row.time),
            "known_at": iso(row.known_at),
            "predicted_return": predicted,
            "direction": _direction(predicted),
            "interval": model.loaded.interval(predicted),
            "model": model.block,
            "age_seconds": (desk.now() - row.known_at).total_seconds(),
        }
    )


async def _answer_rows(request: Request, desk: Desk, model: ServedModel, asked: bodies.RowsRequest) -> Response:
    features = model.loaded.features
    if len(asked.rows) > INLINE_ROWS:
        X = await run_in_threadpool(bodies.feature_matrix, asked.rows, features)
    else:
        X = bodies.feature_matrix(asked.rows, features)
    predicted = await _score(model.loaded, X)
    desk.metrics.predicted(request.scope["route_label"], len(predicted))
    return json_response({"predicted_return": predicted, "model": model.block})


async def _rank(request: Request, desk: Desk) -> Response:
    top = bodies.read_top(await read_body(request))
    model = desk.shelf.champion()
    section = await run_in_threadpool(desk.source.cross_section, model.loaded.features, desk.currencies)
    predicted = await _score(model.loaded, section.X)
    desk.metrics.predicted("/rank", len(predicted))
    ranked = sorted(zip(section.currencies, predicted, strict=True), key=lambda item: (-item[1], item[0]))
    return json_response(
        {
            "time": iso(section.time),
            "known_at": iso(section.known_at),
            "age_seconds": (desk.now() - section.known_at).total_seconds(),
            "currencies": [
                {"currency": currency, "predicted_return": value, "direction": _direction(value)}
                for currency, value in ranked[:top]
            ],
            "model": model.block,
        }
    )


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
    return await run_in_threadpool(desk.metrics.exposition)


async def _index(request: Request, desk: Desk) -> Response:
    routes = [f"{method} {path}" for path, method in ROUTES.items() if path != "/"]
    return json_response({"service": "cryptobot predictions", "market": desk.market, "routes": routes})


def _require_currency(currency: str, desk: Desk) -> None:
    if len(currency) > SHOWN_CHARACTERS:
        raise bad_request("unknown_currency", f"unknown currency {shown(currency)}", field="currency")
    if desk.currencies is not None and currency not in desk.currencies:
        raise UnknownCurrency(currency, desk.currencies)


async def _feature_row(desk: Desk, model: LoadedModel, asked: bodies.CurrencyRequest) -> FeatureRow:
    latest = partial(desk.source.latest, asked.currency, model.features, asked.time)
    if asked.time is None and desk.source.ready(asked.currency, model.features):
        return latest()
    return await run_in_threadpool(latest)


async def _score(model: LoadedModel, X: np.ndarray) -> list[float]:
    """Predictions of float64 (rows, features); a row that leads to no finite number is named."""
    predict = model.scorer.predict
    predicted = predict(X) if len(X) <= INLINE_ROWS else await run_in_threadpool(predict, X)
    finite = np.isfinite(predicted)
    if not finite.all():
        row = f"rows[{int(np.argmin(finite))}]"
        raise bad_request("non_finite", f"the numbers of {row} are too large: the model has no answer", field=row)
    return predicted.tolist()


def _direction(predicted: float) -> str:
    return "up" if predicted > 0 else "down"


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

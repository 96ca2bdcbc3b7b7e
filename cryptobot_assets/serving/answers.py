r"""The routes that predict.

    body -> who answers -> features -> prediction -> log -> reply
                                            \-> shadow, beside the reply's path

One prediction takes microseconds and runs on the event loop; whatever may read the store, load a
model or score many rows goes through a thread.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cryptobot_assets.errors import UnknownCurrency
from cryptobot_assets.serving import bodies
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.door import read_body
from cryptobot_assets.serving.replies import (
    SHOWN_CHARACTERS,
    bad_request,
    iso,
    json_response,
    shown,
    unavailable,
)
from cryptobot_assets.serving.seats import (
    Seat,
    Ticket,
    entries_of,
    named_seat,
    shadow_currency,
    shadow_rows,
    shadow_section,
    take_seat,
)
from cryptobot_assets.serving.shelf import LoadedModel

if TYPE_CHECKING:
    from cryptobot_assets.serving.features import FeatureRow

INLINE_ROWS = 500
"""More rows than this are laid out and scored in a thread, so that others need not wait."""


async def predict(request: Request, desk: Desk) -> Response:
    """`POST /predict`."""
    asked = bodies.read_currency(await read_body(request))
    return await _answer_currency(request, desk, take_seat(desk), asked)


async def predict_features(request: Request, desk: Desk) -> Response:
    """`POST /predict_features`."""
    asked = bodies.read_rows(await read_body(request))
    return await _answer_rows(request, desk, take_seat(desk, rows=True), asked)


async def predict_algorithm(request: Request, desk: Desk, *, algorithm: str) -> Response:
    """`POST /predict_<algorithm>`."""
    asked = bodies.read_prediction(await read_body(request))
    model = desk.shelf.held(algorithm)
    if model is None:
        model = await run_in_threadpool(desk.shelf.fetch, algorithm)
    if isinstance(asked, bodies.RowsRequest):
        return await _answer_rows(request, desk, named_seat(model), asked)
    return await _answer_currency(request, desk, named_seat(model), asked)


async def rank(request: Request, desk: Desk) -> Response:
    """`POST /rank`."""
    top = bodies.read_top(await read_body(request))
    seat = take_seat(desk)
    model = seat.served.loaded
    section = await run_in_threadpool(desk.source.cross_section, model.features, desk.currencies)
    ticket = Ticket.of(request, desk)
    age = _require_fresh(desk, section.known_at)
    predicted = await _score(model, section.X)
    desk.metrics.predicted(ticket.route, len(predicted))
    ranked = sorted(zip(section.currencies, predicted, strict=True), key=lambda item: (-item[1], item[0]))
    names, values = zip(*ranked, strict=True)
    entries = entries_of(model, names, values)
    ticket.record(seat.served, seat.role, entries, time=section.time, known_at=section.known_at)
    shadow_section(ticket, seat.other, section.time)
    return json_response(
        {
            "prediction_id": ticket.prediction_id,
            "time": iso(section.time),
            "known_at": iso(section.known_at),
            "age_seconds": age,
            "currencies": [
                {"currency": currency, "predicted_return": value, "direction": _direction(value)}
                for currency, value in ranked[:top]
            ],
            "model": seat.served.block,
        }
    )


async def _answer_currency(request: Request, desk: Desk, seat: Seat, asked: bodies.CurrencyRequest) -> Response:
    _require_currency(asked.currency, desk)
    model = seat.served.loaded
    row = await _feature_row(desk, model, asked)
    ticket = Ticket.of(request, desk)
    age = _require_fresh(desk, row.known_at) if asked.time is None else _age(desk, row.known_at)
    (predicted,) = await _score(model, row.x[np.newaxis])
    desk.metrics.predicted(ticket.route, 1)
    entries = entries_of(model, [row.currency], [predicted])
    ticket.record(seat.served, seat.role, entries, time=row.time, known_at=row.known_at)
    shadow_currency(ticket, seat.other, row.currency, row.time)
    return json_response(
        {
            "prediction_id": ticket.prediction_id,
            "currency": row.currency,
            "time": iso(row.time),
            "known_at": iso(row.known_at),
            "predicted_return": predicted,
            "direction": _direction(predicted),
            "interval": model.interval(predicted),
            "model": seat.served.block,
            "age_seconds": age,
        }
    )


async def _answer_rows(request: Request, desk: Desk, seat: Seat, asked: bodies.RowsRequest) -> Response:
    features = seat.served.loaded.features
    if len(asked.rows) > INLINE_ROWS:
        X = await run_in_threadpool(bodies.feature_matrix, asked.rows, features)
    else:
        X = bodies.feature_matrix(asked.rows, features)
    predicted = await _score(seat.served.loaded, X)
    ticket = Ticket.of(request, desk)
    desk.metrics.predicted(ticket.route, len(predicted))
    ticket.record_rows(seat.served, seat.role, predicted)
    shadow_rows(ticket, seat.other, X, features)
    body = {"prediction_id": ticket.prediction_id, "predicted_return": predicted, "model": seat.served.block}
    return json_response(body)


def _require_currency(currency: str, desk: Desk) -> None:
    if len(currency) > SHOWN_CHARACTERS:
        raise bad_request("unknown_currency", f"unknown currency {shown(currency)}", field="currency")
    if desk.currencies is not None and currency not in desk.currencies:
        raise UnknownCurrency(currency, desk.currencies)


def _require_fresh(desk: Desk, known_at: datetime) -> float:
    """Seconds since the newest features were known; raises a 503 when they are too many."""
    age = _age(desk, known_at)
    desk.metrics.aged(age)
    if desk.stalest_seconds is not None and age > desk.stalest_seconds:
        message = (
            f"the newest features were known at {iso(known_at)}, {age / 3600:.1f} hours ago, and this service "
            f"answers up to {desk.stalest_seconds / 3600:g} hours: newer klines or indicators are missing"
        )
        raise unavailable("stale_features", message)
    return age


def _age(desk: Desk, known_at: datetime) -> float:
    return (desk.now() - known_at).total_seconds()


async def _feature_row(desk: Desk, model: LoadedModel, asked: bodies.CurrencyRequest) -> FeatureRow:
    latest = partial(desk.source.latest, asked.currency, model.features, asked.time)
    if asked.time is None and desk.source.ready(asked.currency, model.features):
        return latest()
    return await run_in_threadpool(latest)


async def _score(model: LoadedModel, X: np.ndarray) -> list[float]:
    """Predictions of float64 (rows, features); a row that leads to no finite number is named."""
    predict_rows = model.scorer.predict
    predicted = predict_rows(X) if len(X) <= INLINE_ROWS else await run_in_threadpool(predict_rows, X)
    finite = np.isfinite(predicted)
    if not finite.all():
        row = f"rows[{int(np.argmin(finite))}]"
        raise bad_request("non_finite", f"the numbers of {row} are too large: the model has no answer", field=row)
    numbers: list[float] = predicted.tolist()
    return numbers


def _direction(predicted: float) -> str:
    return "up" if predicted > 0 else "down"

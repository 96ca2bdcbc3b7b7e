"""Who answers a request, who scores it in shadow, and the record of both."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from starlette.requests import Request

from cryptobot_assets.domain.served import CHALLENGER, CHAMPION, NAMED, NO_CURRENCY, SHADOW, make_prediction_id
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.shadow import ShadowWork
from cryptobot_assets.serving.shelf import LoadedModel, ServedModel
from cryptobot_assets.storage.served_spool import Entry, Served


@dataclass(frozen=True)
class Seat:
    """The model that answers, in which role, and the one that scores the same in shadow."""

    served: ServedModel
    role: str
    other: ServedModel | None = None


def take_seat(desk: Desk, *, rows: bool = False) -> Seat:
    """The champion's seat, or the challenger's in its share of the requests; raises `NoModel`.

    A challenger of other features than the champion's never answers the `rows` of a caller, who was
    told the champion's.
    """
    champion, challenger = desk.shelf.champion(), desk.shelf.challenger()
    if challenger is None:
        return Seat(champion, CHAMPION)
    able = not rows or challenger.loaded.features == champion.loaded.features
    if able and desk.draw() < desk.challenger_share:
        return Seat(challenger, CHALLENGER, champion)
    return Seat(champion, CHAMPION, challenger)


def named_seat(model: ServedModel) -> Seat:
    """The seat of an algorithm that was asked for by name."""
    return Seat(model, NAMED)


@dataclass(frozen=True)
class Ticket:
    """What is the same in every record of one request."""

    desk: Desk
    prediction_id: str
    served_at: datetime
    route: str
    caller: str | None

    @classmethod
    def of(cls, request: Request, desk: Desk) -> Ticket:
        """The ticket of a request that is being answered now."""
        now = desk.now()
        prediction_id = make_prediction_id(now, secrets.token_bytes(10))
        return cls(desk, prediction_id, now, request.scope["route_label"], request.scope.get("caller"))

    def record(
        self,
        model: ServedModel,
        role: str,
        entries: Sequence[Entry],
        *,
        time: datetime | None = None,
        known_at: datetime | None = None,
        rows: int = 1,
    ) -> None:
        """Hand a prediction to the log."""
        version = model.loaded.version
        self.desk.log.record(
            Served(
                prediction_id=self.prediction_id,
                role=role,
                served_at=self.served_at,
                route=self.route,
                market=version.market,
                algorithm=version.algorithm,
                version=version.version,
                registered_name=version.name,
                verdict=model.block["verdict"],
                entries=tuple(entries),
                rows=rows,
                caller=self.caller,
                time=time,
                known_at=known_at,
            )
        )

    def record_rows(self, model: ServedModel, role: str, predicted: Sequence[float]) -> None:
        """Hand the prediction of a caller's own rows to the log; of many rows it tells their number alone."""
        told = entries_of(model.loaded, [NO_CURRENCY], predicted) if len(predicted) == 1 else ()
        self.record(model, role, told, rows=len(predicted))


def entries_of(model: LoadedModel, currencies: Sequence[str], predicted: Sequence[float]) -> list[Entry]:
    """Predictions of currencies as the log has them."""
    return [Entry(name, value, *model.interval(value)) for name, value in zip(currencies, predicted, strict=True)]


def shadow_currency(ticket: Ticket, other: ServedModel | None, currency: str, time: datetime) -> None:
    """Score in shadow what was answered for the row of a currency at a time."""
    if other is None:
        return
    desk, model = ticket.desk, other.loaded

    def run() -> bool:
        row = desk.source.latest(currency, model.features)
        if row.time != time:
            row = desk.source.latest(currency, model.features, time)
        predicted = model.scorer.predict(row.x[np.newaxis]).tolist()
        entries = entries_of(model, [currency], predicted)
        return _record_finite(ticket, other, entries, time=row.time, known_at=row.known_at)

    desk.shadow.take(ShadowWork(run))


def shadow_rows(ticket: Ticket, other: ServedModel | None, X: np.ndarray, features: Sequence[str]) -> None:
    """Score in shadow the rows, float64 (rows, features), that a caller sent."""
    if other is None:
        return

    def run() -> bool:
        if other.loaded.features != tuple(features):
            return False
        predicted = other.loaded.scorer.predict(X)
        if not np.isfinite(predicted).all():
            return False
        ticket.record_rows(other, SHADOW, predicted.tolist())
        return True

    ticket.desk.shadow.take(ShadowWork(run, rows=len(X)))


def shadow_section(ticket: Ticket, other: ServedModel | None, time: datetime) -> None:
    """Score in shadow the cross-section that was ranked at a time."""
    if other is None:
        return
    desk, model = ticket.desk, other.loaded

    def run() -> bool:
        section = desk.source.cross_section(model.features, desk.currencies)
        if section.time != time:
            return False
        entries = entries_of(model, section.currencies, model.scorer.predict(section.X).tolist())
        return _record_finite(ticket, other, entries, time=section.time, known_at=section.known_at)

    desk.shadow.take(ShadowWork(run))


def _record_finite(
    ticket: Ticket, model: ServedModel, entries: Sequence[Entry], *, time: datetime, known_at: datetime
) -> bool:
    if not all(entry.predicted_return is not None and math.isfinite(entry.predicted_return) for entry in entries):
        return False
    ticket.record(model, SHADOW, entries, time=time, known_at=known_at)
    return True

"""What callers send: JSON bodies read into records, each mistake named.

Bodies are decoded untyped and checked here, because the checks must name the row and the feature
to blame; what is right costs a set comparison a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from cryptobot_assets.serving.replies import ApiError, bad_request, listed, shown

MOST_ROWS = 10_000
LARGEST = float(np.finfo(np.float32).max)
"""Beyond it a feature cannot be given to a model that reads single precision."""

_NOT_FINITE_WORD = re.compile(rb"[:,\[]\s*-?(NaN|Infinity)\b")
_NUMBERS = {int, float}


@dataclass(frozen=True)
class CurrencyRequest:
    """Body of `/predict`: a currency, and the open time of the row to predict from (None: the newest)."""

    currency: str
    time: datetime | None


@dataclass(frozen=True)
class RowsRequest:
    """Body of `/predict_features`: rows still to be laid out by `feature_matrix`."""

    rows: list[dict[str, Any]]


def read_prediction(body: bytes) -> CurrencyRequest | RowsRequest:
    """Either body of `/predict_<algorithm>`; raises `ApiError`."""
    content = _object(body)
    if "rows" in content:
        return _rows(content)
    if "currency" not in content and not content.keys() & {"time"}:
        known = "give either 'currency' or 'rows'"
        if content:
            raise bad_request("unknown_field", f"{known}; unknown: {listed(list(content))}", field=next(iter(content)))
        raise bad_request("missing_field", known, field="currency")
    return _currency(content)


def read_currency(body: bytes) -> CurrencyRequest:
    """Body of `/predict`; raises `ApiError`."""
    return _currency(_object(body))


def read_rows(body: bytes) -> RowsRequest:
    """Body of `/predict_features`; raises `ApiError`."""
    return _rows(_object(body))


def read_top(body: bytes) -> int | None:
    """Body of `/rank`: how many currencies to list, None for all; raises `ApiError`."""
    content = _object(body)
    _require_fields(content, required=(), optional=("top",))
    top = content.get("top")
    if top is None and "top" not in content:
        return None
    if type(top) is not int or top < 1:
        raise bad_request("wrong_value", "'top' must be a whole number, at least 1", field="top")
    return top


def feature_matrix(rows: list[dict[str, Any]], features: Sequence[str]) -> np.ndarray:
    """The rows as float64 (rows, features), in the order of `features`.

    Raises:
        ApiError: naming the first row, and the feature, that is missing, extra or not a finite number.
    """
    names = frozenset(features)
    for index, row in enumerate(rows):
        if type(row) is not dict or row.keys() != names or not {type(value) for value in row.values()} <= _NUMBERS:
            raise _row_mistake(index, row, names)
    try:
        X = np.array([[row[name] for name in features] for row in rows], dtype=np.float64)
    except OverflowError:
        X = np.array([[_as_float(row[name]) for name in features] for row in rows])
    readable = np.abs(X) <= LARGEST
    if not readable.all():
        index, column = np.argwhere(~readable)[0]
        field = f"rows[{index}].{features[column]}"
        raise bad_request("non_finite", f"{field} is not a finite number a model can read", field=field)
    return X


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except RecursionError:
        raise bad_request("malformed_json", "the body is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise bad_request("malformed_json", f"the body is not UTF-8: {error.reason} at {error.start}") from None
    except msgspec.ValidationError as error:
        raise bad_request("non_finite", f"the body holds a number out of range: {error}") from None
    except msgspec.DecodeError as error:
        if _NOT_FINITE_WORD.search(body):
            raise bad_request("non_finite", "NaN and Infinity are not JSON; send finite numbers") from None
        raise bad_request("malformed_json", f"the body is not JSON: {error}") from None
    if type(content) is not dict:
        raise bad_request("not_an_object", "the body must be a JSON object")
    return content


def _require_fields(content: dict[str, Any], *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    missing = [name for name in required if name not in content]
    if missing:
        raise bad_request("missing_field", f"{missing[0]!r} is missing", field=missing[0])
    unknown = content.keys() - {*required, *optional}
    if unknown:
        known = ", ".join((*required, *optional))
        message = f"unknown field {listed(list(unknown))}; known: {known}"
        raise bad_request("unknown_field", message, field=min(unknown)[:100])


def _currency(content: dict[str, Any]) -> CurrencyRequest:
    _require_fields(content, required=("currency",), optional=("time",))
    currency = content["currency"]
    if type(currency) is not str:
        raise bad_request("wrong_type", "'currency' must be text, for example \"BTCUSDT\"", field="currency")
    time = content.get("time")
    return CurrencyRequest(currency, None if time is None else _time(time))


def _time(value: Any) -> datetime:
    if type(value) is not str:
        raise bad_request("wrong_type", "'time' must be text, for example \"2024-05-13T23:00:00Z\"", field="time")
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            message = f"'time' needs a zone: write {shown(value + 'Z')} for UTC"
            raise bad_request("naive_time", message, field="time")
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        message = f'{shown(value)} is not an ISO 8601 time, for example "2024-05-13T23:00:00Z"'
        raise bad_request("bad_time", message, field="time") from None


def _rows(content: dict[str, Any]) -> RowsRequest:
    _require_fields(content, required=("rows",))
    rows = content["rows"]
    if type(rows) is not list:
        raise bad_request("wrong_type", "'rows' must be a list of objects {feature: number}", field="rows")
    if not 1 <= len(rows) <= MOST_ROWS:
        raise bad_request("wrong_count", f"'rows' must hold 1 to {MOST_ROWS:,} rows, not {len(rows):,}", field="rows")
    return RowsRequest(rows)


def _row_mistake(index: int, row: Any, names: frozenset[str]) -> ApiError:
    where = f"rows[{index}]"
    if type(row) is not dict:
        return bad_request("wrong_type", f"{where} must be an object {{feature: number}}", field=where)
    missing, extra = names - row.keys(), row.keys() - names
    if missing:
        field = f"{where}.{min(missing)}"
        return bad_request("missing_features", f"{where} lacks {listed(list(missing), 40)}", field=field)
    if extra:
        field = f"{where}.{min(extra)[:100]}"
        return bad_request(
            "extra_features", f"{where} has features unknown to the model: {listed(list(extra))}", field=field
        )
    name = min(name for name, value in row.items() if type(value) not in _NUMBERS)
    return bad_request("wrong_type", f"{where}.{name} must be a number", field=f"{where}.{name}")


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")

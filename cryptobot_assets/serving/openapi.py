"""The routes as an OpenAPI 3.1 document, which `GET /openapi.json` gives out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cryptobot_assets.domain.labels import PREDICTION_DEFINITION
from cryptobot_assets.serving.bodies import LARGEST, MOST_ROWS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
PREDICTION_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
DIRECTION: Schema = {"enum": ["up", "down"]}
REFUSALS = {
    "400": "the request is wrong; `field` names what",
    "401": "no key, or one that nobody has",
    "408": "the body arrived too slowly",
    "413": "the body is too large",
    "429": "this key has asked too often; see Retry-After",
    "500": "a fault of the service",
    "503": "nothing to answer with yet: no model, no features, features too old, or too slow",
}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object of these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def listed(schema: Schema, **limits: int) -> Schema:
    """A list of such things."""
    return {"type": "array", "items": schema, **limits}


def named(name: str) -> Schema:
    """A reference to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


_MODEL = {
    "name": TEXT,
    "version": TEXT,
    "algorithm": TEXT,
    "market": TEXT,
    "cutoff": INSTANT,
    "verdict": {"enum": ["passed", "unproven"]},
}
_REGISTERED = record({"name": TEXT, "version": TEXT})
_ALIAS = {"enum": ["champion", "challenger"]}

SCHEMAS: dict[str, Schema] = {
    "CurrencyRequest": record({"currency": TEXT}, {"time": {"type": ["string", "null"], "format": "date-time"}}),
    "RowsRequest": record(
        {
            "rows": listed(
                {
                    "type": "object",
                    "additionalProperties": {"type": "number", "minimum": -LARGEST, "maximum": LARGEST},
                },
                minItems=1,
                maxItems=MOST_ROWS,
            )
        }
    ),
    "RankRequest": record({}, {"top": {"type": "integer", "minimum": 1}}),
    "Model": record(_MODEL, {"alias": _ALIAS, "registered": _REGISTERED}),
    "Prediction": record(
        {
            "prediction_id": PREDICTION_ID,
            "currency": TEXT,
            "time": INSTANT,
            "known_at": INSTANT,
            "predicted_return": NUMBER | {"description": PREDICTION_DEFINITION},
            "direction": DIRECTION,
            "interval": listed(NUMBER, minItems=2, maxItems=2),
            "model": named("Model"),
            "age_seconds": NUMBER,
        }
    ),
    "RowPredictions": record(
        {"prediction_id": PREDICTION_ID, "predicted_return": listed(NUMBER), "model": named("Model")}
    ),
    "Ranking": record(
        {
            "prediction_id": PREDICTION_ID,
            "time": INSTANT,
            "known_at": INSTANT,
            "age_seconds": NUMBER,
            "currencies": listed(record({"currency": TEXT, "predicted_return": NUMBER, "direction": DIRECTION})),
            "model": named("Model"),
        }
    ),
    "Models": record(
        {
            "market": TEXT,
            "models": listed(
                record(
                    {
                        **_MODEL,
                        "aliases": listed(_ALIAS),
                        "registered": listed(record({"name": TEXT, "version": TEXT, "alias": _ALIAS, "verdict": TEXT})),
                        "features": listed(TEXT),
                        "loaded_at": INSTANT,
                    }
                )
            ),
            "available": {"type": "object", "additionalProperties": TEXT},
            "registry": record({"checked_at": {"type": ["string", "null"]}, "error": {"type": ["string", "null"]}}),
        }
    ),
    "Health": record({"status": {"enum": ["alive", "ready"]}}, {"model": named("Model")}),
    "Index": record({"service": TEXT, "market": TEXT, "routes": listed(TEXT)}),
    "Error": record({"error": record({"code": TEXT, "message": TEXT, "field": {"type": ["string", "null"]}})}),
}


def openapi_document(algorithms: Iterable[str]) -> Schema:
    """The document of a service with these algorithms."""
    posts = {
        "/predict": ("The champion's prediction for a currency", ["CurrencyRequest"], ["Prediction"]),
        "/predict_features": ("The champion's predictions for rows of features", ["RowsRequest"], ["RowPredictions"]),
        **{
            f"/predict_{name}": (
                f"Predictions by the newest {name} model",
                ["CurrencyRequest", "RowsRequest"],
                ["Prediction", "RowPredictions"],
            )
            for name in algorithms
        },
        "/rank": ("Currencies by predicted return at their newest common time", ["RankRequest"], ["Ranking"]),
    }
    gets = {
        "/models": ("Every loaded model, and what the registry said last", "Models"),
        "/livez": ("Whether the process answers", "Health"),
        "/readyz": ("Whether there is a model to answer with", "Health"),
        "/": ("The routes", "Index"),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "cryptobot predictions", "version": "1", "description": "Predicted 24 h returns."},
        "paths": {
            **{path: {"post": _post(path, *told)} for path, told in posts.items()},
            **{path: {"get": _get(path, what, _json(named(reply)))} for path, (what, reply) in gets.items()},
            "/openapi.json": {"get": _get("/openapi.json", "This document", _json({"type": "object"}))},
            "/metrics": {"get": _get("/metrics", "Metrics for Prometheus", {"text/plain": {"schema": TEXT}})},
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{}, {"bearer": []}, {"header": []}],
    }


def _post(path: str, what: str, bodies: list[str], replies: list[str]) -> Schema:
    operation = _get(path, what, _json(_one_of(replies)))
    return operation | {"requestBody": {"required": True, "content": _json(_one_of(bodies))}}


def _get(path: str, what: str, content: Schema) -> Schema:
    refusals = {
        status: {"description": meaning, "content": _json(named("Error"))} for status, meaning in REFUSALS.items()
    }
    return {
        "operationId": path.strip("/").replace(".", "_") or "index",
        "summary": what,
        "responses": {"200": {"description": what, "content": content}, **refusals},
    }


def _one_of(names: list[str]) -> Schema:
    return named(names[0]) if len(names) == 1 else {"oneOf": [named(name) for name in names]}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}

"""What the service says: JSON bodies, and one shape for everything it refuses.

Every refusal is `{"error": {"code", "message", "field"}}`; `field` is null unless one part of the
request is to blame. Statuses: 400 bad input, 401 key, 404 route, 405 method, 408 upload too slow,
413 too large, 500 our own fault, 503 nothing to answer with yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response

SHOWN_CHARACTERS = 60


class ApiError(Exception):
    """A refusal: HTTP status, a code for programs, a message for people, and the field to blame."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.headers = headers

    def response(self) -> Response:
        """The refusal as JSON."""
        error = {"code": self.code, "message": str(self), "field": self.field}
        return json_response({"error": error}, status=self.status, headers=self.headers)


def bad_request(code: str, message: str, *, field: str | None = None) -> ApiError:
    """A 400: the request is wrong, and the message says how to mend it."""
    return ApiError(400, code, message, field=field)


def unavailable(code: str, message: str) -> ApiError:
    """A 503: the request is right, and can be answered later."""
    return ApiError(503, code, message, headers={"Retry-After": "2"})


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as a JSON response; datetimes must have gone through `iso`."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def iso(time: datetime) -> str:
    """An instant as ISO 8601 in UTC.

    >>> iso(datetime(2024, 5, 13, 23, 59, tzinfo=UTC))
    '2024-05-13T23:59:00Z'
    """
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def shown(text: str) -> str:
    """A caller's text, quoted and cut to a length fit for a message."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "...")


def listed(names: list[str], most: int = 5) -> str:
    """A caller's names for a message, the first few of them.

    >>> listed(["b", "a", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    ordered = sorted(names)
    text = ", ".join(shown(name) for name in ordered[:most])
    return text if len(ordered) <= most else f"{text} and {len(ordered) - most} more"

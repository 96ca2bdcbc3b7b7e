"""The door every request passes: the key, its rate, size and deadline, the count, the last resort.

Plain ASGI around the routes, because it must see what a framework decides too: a path that no
route has, a method that a route lacks, a handler that failed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryptobot_assets.errors import NoModel, StoreError, UnknownCurrency
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.keys import KeyRing
from cryptobot_assets.serving.replies import ApiError, bad_request, unavailable

LARGEST_BODY = 20_000_000
MOST_DISCARDED = 10 * LARGEST_BODY
UPLOAD_SECONDS = 20.0
REPLY_SECONDS = 30.0
"""From the first byte of a request to the last of its reply, whoever is slow."""
OPEN_ROUTES = frozenset({"/livez", "/readyz"})
ANONYMOUS = "anonymous"
"""The caller where no key is demanded: all share one rate."""
SAFE_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]

logger = logging.getLogger(__name__)


class Door:
    """ASGI app around `routes`; replies to every request, raises nothing. `rest` takes what is no HTTP request.

    Keys, rates and metrics are those of the app's `state.desk`, there once the app has started.
    """

    def __init__(self, routes: ASGIApp, rest: ASGIApp) -> None:
        self._routes = routes
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        desk = scope["app"].state.desk
        started = time.perf_counter()
        status = 0
        desk.metrics.arrived()

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *SAFE_HEADERS]
            await send(message)

        try:
            _admit(scope, desk)
            async with asyncio.timeout(REPLY_SECONDS):
                await self._routes(scope, receive, watched_send)
        except ClientDisconnect:
            status = 499
        except Exception as error:  # noqa: BLE001 the last resort: whatever failed, the caller gets one shape
            refusal = _refusal(error, scope)
            if not status:
                await refusal.response()(scope, receive, watched_send)
        finally:
            desk.metrics.left()
        desk.metrics.answered(scope.get("route_label", "other"), status, time.perf_counter() - started)


def _admit(scope: Scope, desk: Desk) -> None:
    """Let a caller in who has a key, where one is demanded, and asks no more often than it may."""
    if scope["path"] in OPEN_ROUTES:
        return
    if desk.keys.demanded:
        scope["caller"] = _holder(scope, desk.keys)
    wait = desk.limit.wait_seconds(scope.get("caller", ANONYMOUS)) if desk.limit is not None else 0
    if wait:
        seconds = math.ceil(wait)
        message = f"this key has asked too often: ask again in {seconds} s"
        raise ApiError(429, "too_many_requests", message, headers={"Retry-After": str(seconds)})


def _holder(scope: Scope, keys: KeyRing) -> str:
    given = b""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            given = value
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            given = value[7:].strip()
    holder = keys.holder(given)
    if holder is None:
        message = "send the service's key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
        raise ApiError(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})
    return holder


def _refusal(error: Exception, scope: Scope) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, UnknownCurrency):
        return bad_request("unknown_currency", str(error), field="currency")
    if isinstance(error, NoModel):
        return unavailable("no_model", str(error))
    if isinstance(error, StoreError):
        return unavailable("store_unavailable", "the store of indicators does not answer; try again later")
    if isinstance(error, TimeoutError):
        return unavailable("too_slow", f"no answer within {REPLY_SECONDS:.0f} seconds; ask again later")
    logger.error("%s %s failed", scope["method"], scope.get("route_label", "other"), exc_info=error)
    return ApiError(500, "internal", "the service failed; its log says why")


async def read_body(request: Request) -> bytes:
    """The request's whole body; 413 when it is too large, 408 when it takes too long.

    What is too large is read to its end and thrown away, up to a limit, because a caller that is
    still sending would otherwise lose the reply with the connection.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise bad_request("unsupported_encoding", "send the body uncompressed", field="Content-Encoding")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > LARGEST_BODY and _gives_up(request, int(declared)):
        raise _too_large()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            return await _whole(request)
    except TimeoutError:
        raise ApiError(408, "too_slow", f"the body did not arrive within {UPLOAD_SECONDS:.0f} seconds") from None


async def _whole(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LARGEST_BODY:
            chunks.append(chunk)
        else:
            chunks.clear()
        if size > MOST_DISCARDED:
            break
    if size > LARGEST_BODY:
        raise _too_large()
    return b"".join(chunks)


def _gives_up(request: Request, declared: int) -> bool:
    """Whether to refuse at once: the caller waits for leave to send, or has far too much."""
    return "expect" in request.headers or declared > MOST_DISCARDED


def _too_large() -> ApiError:
    message = f"the body is larger than {LARGEST_BODY:,} bytes"
    return ApiError(413, "too_large", message, headers={"Connection": "close"})

"""What the exchange answers: REST market data and bulk archives of one market."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

from aiohttp import web

from cryptobot_assets.exchange.archives import Archives, checksum_line
from cryptobot_assets.exchange.clock import Clock
from cryptobot_assets.exchange.directory import Directory
from cryptobot_assets.exchange.faults import (
    CHECKSUM_MODE,
    LACKING_MODES,
    ROW_MODES,
    STATUS_BODIES,
    FaultDraws,
    FaultPlan,
    LeftOut,
    spoil_checksum,
    spoil_rows,
    spoil_text,
)
from cryptobot_assets.exchange.limits import Spent, WeightLimiter
from cryptobot_assets.exchange.market import QUOTE, Market, interval_ms
from cryptobot_assets.exchange.pages import Pages
from cryptobot_assets.exchange.queries import (
    EXCHANGE_INFO_PARAMETERS,
    Refused,
    parse_kline_query,
    parse_microseconds,
    parse_symbols,
    require_read,
)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

WEIGHTS = {"/api/v3/klines": 2, "/api/v3/exchangeInfo": 20, "/api/v3/time": 1, "/api/v3/ping": 1}
WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
MARKET_HEADER = "X-Exchange-Market"
LINGER_ZERO = struct.pack("ii", 1, 0)
"""The socket option under which closing sends a reset."""


class Exchange:
    """The answers of one market; `app` is the web application that gives them.

    Every answer carries `X-Exchange-Market` (`simulated seed=7`, `replay`), which the real
    exchange does not send, and every one under `/api` `X-MBX-USED-WEIGHT-1M`. `Date` is its own
    present, whatever time a fault has it show.
    """

    def __init__(
        self,
        market: Market,
        *,
        clock: Clock,
        limiter: WeightLimiter,
        faults: FaultPlan,
        archive_folder: Path | None = None,
    ) -> None:
        self._market = market
        self._clock = clock
        self._limiter = limiter
        self._faults = FaultDraws(faults)
        self._left_out = LeftOut()
        self._pages = Pages(market)
        self._archives = Archives(market, folder=archive_folder)
        self._directory = Directory(market)
        self.app = web.Application(middlewares=[self._around])
        self.app.add_routes(
            [
                web.get("/", self._listing),
                web.get("/api/v3/klines", self._klines),
                web.get("/api/v3/exchangeInfo", self._exchange_info),
                web.get("/api/v3/time", self._time),
                web.get("/api/v3/ping", self._ping),
                web.get("/data/spot/{period}/klines/{symbol}/{interval}/{name}", self._archive),
            ]
        )

    @web.middleware
    async def _around(self, request: web.Request, handler: Answer) -> web.StreamResponse:
        """Weigh the request, and answer it if its address may still ask."""
        headers = {MARKET_HEADER: self._market.title}
        if request.path.startswith("/api/"):
            spent = self._limiter.spend(request.remote or "", WEIGHTS.get(request.path, 0))
            headers[WEIGHT_HEADER] = str(spent.used)
            if spent.status != 200:
                return self._refusal(spent, headers)
        response = await self._faulty(request, handler, headers)
        response.headers.update({**headers, "Date": formatdate(self._clock() // 1000, usegmt=True)})
        return response

    async def _faulty(self, request: web.Request, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
        plan = self._faults.plan
        mode, draw = self._faults.draw(request.path_qs) if plan.chances else (None, None)
        if mode is not None and mode in map(str, STATUS_BODIES):
            status = int(mode)
            waits = {"Retry-After": str(plan.retry_after_seconds)} if status in (418, 429) else {}
            return web.Response(status=status, body=STATUS_BODIES[status], headers=waits)
        if mode == "timeout":
            await asyncio.sleep(plan.hang_seconds)
        if mode in ("reset", "timeout"):
            return _cut(request, reset=mode == "reset")
        response = await _answered(request, answer)
        if response.status != 200 or mode is None or draw is None:
            return response
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
            raise TypeError(f"{request.path} was not answered with a body of bytes: no fault can be put into it")
        body = response.body
        if mode == "truncate":
            return await _truncate(request, response, body, headers)
        response.body = self._spoiled(request, mode, body, draw)
        return response

    def _spoiled(self, request: web.Request, mode: str, body: bytes, draw: random.Random) -> bytes:
        """The body with the fault that it is to have; as it was where the fault is of other answers."""
        if mode == "malformed":
            return spoil_text(body)
        if mode in ROW_MODES and request.path == "/api/v3/klines":
            spoiled = spoil_rows(mode, body, draw)
            if mode in LACKING_MODES:
                series = f"{request.query['symbol']} {request.query['interval']}"
                spoiled = self._left_out.once(series, body, spoiled)
            return spoiled
        if mode == CHECKSUM_MODE and request.path.endswith(".CHECKSUM"):
            return spoil_checksum(body)
        return body

    def _refusal(self, spent: Spent, headers: dict[str, str]) -> web.Response:
        if spent.status == 418:
            text = f"Way too much request weight used; IP banned until {spent.until_ms}."
            advice = "Please use WebSocket Streams for live updates to avoid bans."
        else:
            limit = f"{self._limiter.per_minute} request weight per 1 MINUTE"
            text = f"Too much request weight used; current limit is {limit}."
            advice = "Please use WebSocket Streams for live updates to avoid polling the API."
        response = _json({"code": -1003, "msg": f"{text} {advice}"}, status=spent.status)
        response.headers.update({**headers, "Retry-After": str(spent.retry_after_seconds)})
        return response

    async def _klines(self, request: web.Request) -> web.Response:
        query = parse_kline_query(request.query, self._market)
        microseconds = parse_microseconds(request.headers.get("X-MBX-TIME-UNIT"))
        body = self._pages.page(query, now_ms=self._clock(), microseconds=microseconds)
        return web.Response(body=body, content_type="application/json")

    async def _exchange_info(self, request: web.Request) -> web.Response:
        require_read(request.query, EXCHANGE_INFO_PARAMETERS)
        asked = parse_symbols(request.query, self._market)
        now = self._clock()
        listed = (name for name in self._market.listed if self._market.series(name).time_ms[0] <= now)
        return _json(
            {
                "timezone": "UTC",
                "serverTime": self._now_ms(),
                "rateLimits": [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": 1,
                        "limit": self._limiter.per_minute,
                    }
                ],
                "exchangeFilters": [],
                "symbols": [
                    _symbol(name, trading=self._trades(name, now)) for name in (listed if asked is None else asked)
                ],
            }
        )

    def _trades(self, currency: str, now_ms: int) -> bool:
        """Whether the currency has a kline of the last day."""
        klines = self._market.series(currency)
        opened = klines.position(now_ms + 1)
        return opened > 0 and klines.time_ms[opened - 1] > now_ms - interval_ms("1d")

    async def _time(self, request: web.Request) -> web.Response:
        require_read(request.query, ())
        unit = 1000 if parse_microseconds(request.headers.get("X-MBX-TIME-UNIT")) else 1
        return _json({"serverTime": self._now_ms() * unit})

    async def _ping(self, request: web.Request) -> web.Response:
        require_read(request.query, ())
        return _json({})

    async def _archive(self, request: web.Request) -> web.Response:
        place = {key: request.match_info[key] for key in ("period", "symbol", "interval")}
        name = request.match_info["name"]
        zip_name = name.removesuffix(".CHECKSUM")
        archive = await asyncio.to_thread(self._archives.archive, **place, name=zip_name, now_ms=self._clock())
        if archive is None:
            raise web.HTTPNotFound
        if zip_name != name:
            return web.Response(body=checksum_line(archive, zip_name), content_type="text/plain")
        return web.Response(body=archive, content_type="application/zip")

    async def _listing(self, request: web.Request) -> web.Response:
        body = await asyncio.to_thread(self._directory.listing, request.query, now_ms=self._clock())
        return web.Response(body=body, content_type="application/xml")

    def _now_ms(self) -> int:
        """The time that clients are shown."""
        return self._clock() + round(self._faults.plan.skew_seconds * 1000)


def _symbol(name: str, *, trading: bool) -> dict[str, object]:
    return {
        "symbol": name,
        "status": "TRADING" if trading else "BREAK",
        "baseAsset": name.removesuffix(QUOTE),
        "baseAssetPrecision": 8,
        "quoteAsset": QUOTE,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": [],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


def _json(value: object, *, status: int = 200) -> web.Response:
    body = json.dumps(value, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, content_type="application/json")


async def _answered(request: web.Request, answer: Answer) -> web.StreamResponse:
    """The answer, or the exchange's way of refusing one."""
    try:
        return await answer(request)
    except Refused as refused:
        return _json({"code": refused.code, "msg": refused.message}, status=refused.status)
    except web.HTTPException as error:
        body = f"<html><body><h2>{error.status} {error.reason}</h2></body></html>".encode()
        return web.Response(status=error.status, body=body, content_type="text/html")


def _cut(request: web.Request, *, reset: bool) -> web.Response:
    """End the connection without an answer; with a reset when asked to."""
    transport = request.transport
    if transport is not None:
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        transport.abort()
    return web.Response(status=499)


async def _truncate(
    request: web.Request, response: web.Response, body: bytes, headers: dict[str, str]
) -> web.StreamResponse:
    """Announce the whole body, send half of it, and end the connection."""
    half = web.StreamResponse(status=response.status, headers={**headers, "Content-Type": response.content_type})
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half

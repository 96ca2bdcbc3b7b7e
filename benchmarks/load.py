"""Requests over kept connections, as cheap to send as Python allows: the sender shares the cores with the server.

Sent from a process of its own, so that what else a benchmark does meanwhile (moving an alias, say) delays no reply.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

VERSION = b'"version":"'


@dataclass
class Load:
    """What one load found.

    Attributes:
        seconds: of each reply.
        failures: requests that were not answered with 200.
        last_seen: when each version answered last, on the machine's monotonic clock.
        lasted: seconds of the whole.
    """

    seconds: list[float] = field(default_factory=list)
    failures: int = 0
    last_seen: dict[str, float] = field(default_factory=dict)
    lasted: float = 0.0

    def figures(self) -> dict[str, float]:
        """Median and 99th percentile in milliseconds, requests a second."""
        if len(self.seconds) < 2:
            return {"p50_ms": float("nan"), "p99_ms": float("nan"), "per_second": 0.0}
        p99 = statistics.quantiles(self.seconds, n=100)[98]
        return {
            "p50_ms": statistics.median(self.seconds) * 1e3,
            "p99_ms": p99 * 1e3,
            "per_second": len(self.seconds) / self.lasted,
        }


@dataclass(frozen=True)
class Plan:
    """A load to send.

    Attributes:
        url: asked with POST and a JSON body.
        body: of each request.
        connections: each sends one request at a time.
        seconds: how long.
        per_second: requests a second of all connections together at most; as many as there are answers when None.
    """

    url: str
    body: bytes
    connections: int
    seconds: float
    per_second: float | None = None


@contextmanager
def sender() -> Iterator[ProcessPoolExecutor]:
    """A process that sends loads."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def send(pool: ProcessPoolExecutor, plan: Plan) -> Future[Load]:
    """Begin to send; the result is there when the load has ended."""
    return pool.submit(_send, plan)


def _send(plan: Plan) -> Load:
    return asyncio.run(_all(plan))


async def _all(plan: Plan) -> Load:
    found, started = Load(), time.perf_counter()
    pause = plan.connections / plan.per_second if plan.per_second else 0.0
    await asyncio.gather(*(_one(plan, found, started + plan.seconds, pause) for _ in range(plan.connections)))
    found.lasted = time.perf_counter() - started
    return found


async def _one(plan: Plan, found: Load, until: float, pause: float) -> None:
    """One connection's requests; a broken one is opened again."""
    address, loop = urlsplit(plan.url), asyncio.get_running_loop()
    head = (
        f"POST {address.path} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(plan.body)}\r\n\r\n"
    )
    host, port = address.hostname, address.port
    assert host and port, plan.url
    request, connection = head.encode() + plan.body, None
    while (started := time.perf_counter()) < until:
        if connection is None:
            _, connection = await loop.create_connection(Connection, host, port)
        try:
            status, content = await connection.ask(request)
        except ConnectionError:
            found.failures += 1
            connection = None
            continue
        ended = time.perf_counter()
        found.seconds.append(ended - started) if status == 200 else None
        found.failures += status != 200
        if VERSION in content:
            found.last_seen[content.split(VERSION)[1].split(b'"')[0].decode()] = ended
        if pause:
            await asyncio.sleep(max(0.0, started + pause - ended))
    if connection is not None:
        connection.close()


class Connection(asyncio.Protocol):
    """A kept connection that carries one request at a time."""

    _transport: asyncio.Transport
    _answer: asyncio.Future[tuple[int, bytes]] | None = None
    _parts: list[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send; the answer's status and content come later."""
        self._parser, self._parts = httptools.HttpResponseParser(self), []
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._answer.set_exception(ConnectionResetError("closed between two requests"))
        else:
            self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """No more requests."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A part of the answer, from the parser."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """The end of the answer, from the parser."""
        assert self._answer is not None
        self._answer.set_result((self._parser.get_status_code(), b"".join(self._parts)))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(f"closed in the middle of a request: {error}"))

"""The exchange server as a schedule needs it: on one port, stopped and started at will, its faults counted."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from random import Random
from unittest.mock import patch

import requests
from aiohttp import web

from cryptobot_assets.exchange.clock import fixed_clock
from cryptobot_assets.exchange.faults import FaultDraws, parse_faults
from cryptobot_assets.exchange.limits import WeightLimiter
from cryptobot_assets.exchange.market import to_ms
from cryptobot_assets.exchange.server import make_app, start
from cryptobot_assets_tests.faults.schedules import Away, Step
from cryptobot_assets_tests.faults.worlds import World


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of this process's servers, in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="exchange", daemon=True).start()
    return loop


class VirtualTime:
    """Seconds that pass only by being slept."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds
        self.sleeps = 0

    def sleep(self, seconds: float) -> None:
        """Let them pass."""
        self.seconds += seconds
        self.sleeps += 1

    def now(self) -> float:
        """Seconds since the beginning."""
        return self.seconds


class ServedExchange:
    """One step's exchange on a real socket.

    Attributes:
        requests: that came so far.
        on_request: called with the number of each, before it is answered, in the server's thread.
    """

    def __init__(self, world: World, step: Step, seed: int, time: VirtualTime) -> None:
        self._world, self._step, self._seed = world, step, seed
        self._limiter = WeightLimiter(per_minute=step.weight, seconds=time.now)
        self.requests = 0
        self.on_request: Callable[[int], None] = lambda number: None
        self._runner: web.AppRunner | None = None
        self.url = ""

    def start(self) -> None:
        """Listen, on the same port as before."""
        clock = fixed_clock(to_ms(self._step.now))
        faults = parse_faults(f"{self._step.faults},seed={self._seed}")
        app = make_app(self._world.market, clock=clock, limiter=self._limiter, faults=faults)
        app.middlewares.insert(0, self._count)
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        self._runner, self.url = _await(start(app, port=port))

    def stop(self) -> None:
        """End every connection and listen no more."""
        if self._runner is not None:
            _await(self._runner.cleanup())
            self._runner = None

    @web.middleware
    async def _count(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests += 1
        self.on_request(self.requests)
        return await handler(request)


def _await(coroutine: object) -> object:
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result(60)


@contextmanager
def counted_faults(counts: Counter[str]) -> Iterator[None]:
    """Count the faults that this process's servers inject."""
    draw = FaultDraws.draw

    def counting(self: FaultDraws, target: str) -> tuple[str | None, Random]:
        mode, drawn = draw(self, target)
        if mode is not None:
            counts[mode] += 1
        return mode, drawn

    with patch.object(FaultDraws, "draw", counting):
        yield


class Requests:
    """Counts the requests of an ingestion, to have something happen at one of them."""

    def __init__(self, url: str, served: ServedExchange | None = None, away: Away | None = None) -> None:
        self._url, self._served, self._away = url, served, away
        self.count = 0
        self.stops = 0

    @contextmanager
    def watched(self, before: Callable[[int], None]) -> Iterator[None]:
        """Call `before(number)` ahead of each request that this process sends."""
        send = requests.Session.send

        def sending(session: requests.Session, request: requests.PreparedRequest, **options: object) -> object:
            if request.url.startswith(self._url):
                self.count += 1
                self._come_and_go()
                before(self.count)
            return send(session, request, **options)

        with patch.object(requests.Session, "send", sending):
            yield

    def _come_and_go(self) -> None:
        if self._away is None or self._served is None:
            return
        if self.count == self._away.request:
            self._served.stop()
            self.stops += 1
        elif self.count == self._away.request + self._away.refused:
            self._served.start()

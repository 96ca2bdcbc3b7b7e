"""The Binance-shaped HTTP server, on a real socket."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from cryptobot_assets.errors import UsageError
from cryptobot_assets.exchange.answers import Exchange
from cryptobot_assets.exchange.clock import Clock, fixed_clock
from cryptobot_assets.exchange.faults import FaultPlan
from cryptobot_assets.exchange.limits import WeightLimiter
from cryptobot_assets.exchange.market import Market, from_ms, interval_ms

SHUTDOWN_SECONDS = 1.0


def make_app(
    market: Market,
    *,
    clock: Clock | None = None,
    limiter: WeightLimiter | None = None,
    faults: FaultPlan | None = None,
    archive_folder: Path | None = None,
) -> web.Application:
    """The exchange as an aiohttp application.

    Args:
        market: what it trades.
        clock: its present; without one it stands still at the instant the newest kline closed,
            or within that kline when `faults` asks for an unfinished one.
        limiter: request weights; 6,000 a minute without one.
        faults: what goes wrong on purpose; nothing without one.
        archive_folder: where archives are kept once they are made, see `Archives`.
    """
    faults = faults or FaultPlan()
    clock = clock or fixed_clock(default_now_ms(market, faults))
    limiter = limiter or WeightLimiter()
    return Exchange(market, clock=clock, limiter=limiter, faults=faults, archive_folder=archive_folder).app


def default_now_ms(market: Market, faults: FaultPlan) -> int:
    """The instant the newest kline closed, or the one within it that `faults` asks for."""
    remaining = 0.0 if faults.unfinished_share is None else 1 - faults.unfinished_share
    return market.end_ms - round(remaining * interval_ms(market.interval))


def serve(
    market: Market,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
    limiter: WeightLimiter | None = None,
    faults: FaultPlan | None = None,
    archive_folder: Path | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; one line on stdout says when and where it answers.

    Args:
        host: the address to listen on.
        port: 0 picks a free one.
        market, clock, limiter, faults, archive_folder: as for `make_app`.

    Raises:
        UsageError: the address cannot be listened on.
    """
    app = make_app(market, clock=clock, limiter=limiter, faults=faults, archive_folder=archive_folder)
    asyncio.run(_serve(app, market, host, port))


async def _serve(app: web.Application, market: Market, host: str, port: int) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    runner, url = await start(app, host=host, port=port)
    try:
        print(announcement(market, url), flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


async def start(app: web.Application, *, host: str = "127.0.0.1", port: int = 0) -> tuple[web.AppRunner, str]:
    """Listen; returns the runner, to be cleaned up by the caller, and the URL that answers."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as error:
        await runner.cleanup()
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"cannot listen on {host}:{port}: {why}; choose another port") from error
    bound = runner.addresses[0][1]
    return runner, f"http://{f'[{host}]' if ':' in host else host}:{bound}"


def announcement(market: Market, url: str) -> str:
    """What is served and where, in one line."""
    detail = f", {market.detail.replace('=', ' ')}" if market.detail else ""
    first, last = from_ms(market.first_ms), from_ms(market.end_ms) - timedelta(milliseconds=1)
    return (
        f"exchange: {market.label} market{detail}, {len(market.currencies)} currencies, {market.interval}, "
        f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, on {url}"
    )

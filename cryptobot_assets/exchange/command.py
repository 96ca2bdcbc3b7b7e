"""`cryptobot exchange`: choose the market and its faults, and serve it."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from cryptobot_assets.domain.intervals import day_start
from cryptobot_assets.errors import UsageError
from cryptobot_assets.exchange.clock import Clock, running_clock
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.exchange.limits import WEIGHT_PER_MINUTE, WeightLimiter
from cryptobot_assets.exchange.market import Market, to_ms
from cryptobot_assets.exchange.regime import Regime
from cryptobot_assets.exchange.replay import load_replay
from cryptobot_assets.exchange.server import serve
from cryptobot_assets.exchange.simulation import START, simulate

DEFAULT_SEED = 7
DEFAULT_CURRENCIES = 8
DEFAULT_DAYS = 60


def run_exchange(
    *,
    port: int,
    host: str = "127.0.0.1",
    replay: tuple[Path, ...] = (),
    simulate_seed: int | None = None,
    currencies: int | None = None,
    days: int | None = None,
    interval: str | None = None,
    start_day: date | None = None,
    faults: str | None = None,
    predictability: float = 1.0,
    regime: Regime | None = None,
    now: datetime | None = None,
    speed: float = 0.0,
    weight_per_minute: int = WEIGHT_PER_MINUTE,
) -> None:
    """Serve a market until SIGINT or SIGTERM.

    Args:
        port: 0 picks a free one.
        host: the address to listen on.
        replay: Parquet files or directories; without any the market is simulated.
        simulate_seed, currencies, days, start_day, predictability, regime: of the simulation; by default
            seed 7, 8 currencies, 60 days from 2025-01-01, whose truth never changes.
        interval: of the simulation, 1m by default; for a replay it must be one it can answer.
        faults: see `parse_faults`.
        now: the exchange's present (aware); by default the instant its newest kline closed.
        speed: seconds the exchange's clock moves on for every real one; 0 lets it stand still.
        weight_per_minute: the request weight granted to one address.

    Raises:
        UsageError: an argument is wrong, or the address is taken.
        BadKlines: the klines to replay break the kline contract.
    """
    plan = parse_faults(faults)
    if not 0 <= port <= 65535:
        raise UsageError(f"port {port} is not between 0 and 65535")
    if weight_per_minute < 1:
        raise UsageError(f"a weight of {weight_per_minute} a minute lets nothing through: use 1 or more")
    if replay:
        if any(value is not None for value in (simulate_seed, currencies, days, start_day, regime)):
            raise UsageError("a market is replayed or simulated, not both: drop --replay or the others")
        market = _replayed(replay, interval)
    else:
        market = simulate(
            DEFAULT_SEED if simulate_seed is None else simulate_seed,
            DEFAULT_CURRENCIES if currencies is None else currencies,
            days=DEFAULT_DAYS if days is None else days,
            interval=interval or "1m",
            start=START if start_day is None else day_start(start_day),
            predictability=predictability,
            regime=regime,
        )
    limiter = WeightLimiter(per_minute=weight_per_minute)
    serve(market, host=host, port=port, clock=_clock(market, now, speed), limiter=limiter, faults=plan)


def _replayed(paths: tuple[Path, ...], interval: str | None) -> Market:
    market = load_replay(paths)
    if interval is not None and interval not in market.intervals:
        raise UsageError(f"the replayed klines are {market.interval}: they cannot answer {interval}")
    return market


def _clock(market: Market, now: datetime | None, speed: float) -> Clock | None:
    """None leaves the default, a clock that stands at the end of the market."""
    if speed < 0:
        raise UsageError(f"speed {speed} would turn the clock back: use 0 or more")
    if now is None and not speed:
        return None
    now_ms = market.end_ms if now is None else to_ms(now)
    if not market.first_ms < now_ms <= market.end_ms:
        raise UsageError(f"{now} is outside the market's klines: choose an instant within them")
    return running_clock(now_ms, speed=speed)

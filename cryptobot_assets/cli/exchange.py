"""`cryptobot exchange`: the command that serves recorded or simulated klines."""

from __future__ import annotations

from pathlib import Path

import click

from cryptobot_assets.domain.intervals import parse_day

PATH = click.Path(path_type=Path)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="Port to listen on; 0 picks a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--replay", type=PATH, multiple=True, help="Replay recorded klines (Parquet file or directory).")
@click.option("--simulate", "simulate_seed", type=click.IntRange(0), help="Simulate a market from this seed.")
@click.option("--currencies", type=click.IntRange(1), help="How many simulated currencies; default 8.")
@click.option("--days", type=click.IntRange(1), help="How many simulated days; default 60.")
@click.option("--interval", type=click.Choice(["1m", "1h"]), help="Kline interval; default 1m.")
@click.option("--start", "start_day", help="First simulated day (YYYY-MM-DD); default 2025-01-01.")
@click.option(
    "--regime",
    metavar="DAY:STRENGTH[:VOLATILITY]",
    help="Plant a change in the simulated market: from that day on what can be predicted has another strength (1 "
    "before; below 0 it is the opposite), and all other moves are so many times as large. For example 2025-02-01:-2 "
    "or 2025-02-01:1:3.",
)
@click.option("--faults", help="Faults to inject, for example 429:0.01,reset:0.01,seed=5.")
def exchange(
    port: int,
    host: str,
    replay: tuple[Path, ...],
    simulate_seed: int | None,
    currencies: int | None,
    days: int | None,
    interval: str | None,
    start_day: str | None,
    regime: str | None,
    faults: str | None,
) -> None:
    """A Binance-shaped HTTP server of recorded or simulated klines."""
    from cryptobot_assets.exchange.command import run_exchange
    from cryptobot_assets.exchange.regime import Regime

    run_exchange(
        port=port,
        host=host,
        replay=replay,
        simulate_seed=simulate_seed,
        currencies=currencies,
        days=days,
        interval=interval,
        start_day=parse_day(start_day) if start_day else None,
        regime=Regime.parse(regime) if regime else None,
        faults=faults,
    )

"""The subcommands of `cryptobot paper`."""

from __future__ import annotations

import click

from cryptobot_assets.domain.intervals import parse_day
from cryptobot_assets.settings import Settings


@click.group()
def paper() -> None:
    """The paper bot: what the champion's ranking would have bought and sold, hour by hour. Nothing is traded."""


@paper.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def status(as_json: bool) -> None:
    """Equity beside holding the universe and holding Bitcoin, what is held, and the last fills."""
    from cryptobot_assets.cli.paper import run_status

    run_status(Settings.load(), as_json=as_json)


@paper.command()
@click.option("--from", "first", help="First day (YYYY-MM-DD); default the ledger's first hour.")
@click.option("--to", "last", help="Last day, included (YYYY-MM-DD); default the ledger's end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def backtest(first: str | None, last: str | None, as_json: bool) -> None:
    """Run the bot again over the stored klines; exits with 1 where the ledger is not what that gives.

    Nothing is written. Begun before the ledger, it counts a champion from its cutoff on and is compared with
    nothing.
    """
    start, end = parse_day(first) if first else None, parse_day(last) if last else None
    from cryptobot_assets.cli.paper import run_backtest

    run_backtest(Settings.load(), start, end, as_json=as_json)

"""`cryptobot paper`: what the paper bot has come to, and whether its ledger is what a replay gives."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from cryptobot_assets.cli.console import print_table, say
from cryptobot_assets.domain.intervals import DAY, HOUR, day_start
from cryptobot_assets.domain.paper_figures import Figures, figures_of, holdings_of
from cryptobot_assets.domain.paper_ledger import BOT
from cryptobot_assets.domain.pool_value import SLEEVES
from cryptobot_assets.errors import CryptobotError, NoModel
from cryptobot_assets.leaderboard import costs_of
from cryptobot_assets.paper import PaperBot
from cryptobot_assets.resources import open_registry
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import PAPER_BALANCES, PAPER_DECISIONS, PAPER_FILLS, open_store

FILLS_SHOWN = 10


def run_status(settings: Settings, *, as_json: bool) -> None:
    """Print what the ledger says; raises `NoModel` where nothing was booked yet."""
    store, market = open_store(settings), settings.service_market
    figures = figures_of(store.read(PAPER_BALANCES, market=market), costs_of(settings), seed=settings.seed)
    if figures is None:
        raise NoModel("the paper bot has booked nothing yet: materialize paper_ledger once there is a champion")
    since = figures.end - (SLEEVES - 1) * HOUR
    holdings = holdings_of(store.read(PAPER_DECISIONS, start=since, market=market))
    fills = store.read(PAPER_FILLS, start=max(figures.start, figures.end - 7 * DAY), market=market, account=BOT)
    fills = fills.sort("time", "currency").tail(FILLS_SHOWN).drop("market", "account")
    if as_json:
        rows = {"holdings": holdings.to_dicts(), "fills": fills.to_dicts()}
        whole = {"market": market, **_costs(settings), **figured(figures), **rows}
        say(json.dumps(whole, indent=2, default=_plain))
        return
    _say_figures(f"paper bot of {market}, rule {figures.rule}", figures, settings)
    held = [[row["currency"], f"{row['quantity']:,.6g}", f"{row['value']:,.2f}"] for row in holdings.to_dicts()]
    print_table("held", ["currency", "quantity", "USDT"], held, numbers_from=1)
    told = [
        [
            f"{row['filled_at']:%Y-%m-%d %H:%M}",
            row["currency"],
            row["side"],
            *(f"{row[name]:,.6g}" for name in ("quantity", "price")),
            f"{row['cost']:,.2f}",
        ]
        for row in fills.to_dicts()
    ]
    print_table("last fills", ["time", "currency", "side", "quantity", "price", "cost"], told, numbers_from=3)


def run_backtest(settings: Settings, first: date | None, last: date | None, *, as_json: bool) -> None:
    """Replay and compare.

    Raises:
        CryptobotError: the ledger and the replay part; the message names the first difference.
    """
    bot = PaperBot(open_store(settings), open_registry(settings), settings)
    replay = bot.replay(day_start(first) if first else None, day_start(last) + DAY if last else None)
    balances = replay.ledger["paper_balances"]
    figures = figures_of(balances, costs_of(settings), seed=settings.seed, draws=settings.draws)
    if as_json:
        told = {"market": settings.service_market, "compared_hours": replay.compared, **_costs(settings)}
        told |= {"equal": replay.difference is None if replay.compared else None}
        told |= {"first_difference": str(replay.difference) if replay.difference else None}
        say(json.dumps(told | (figured(figures) if figures else {"hours": 0}), indent=2, default=_plain))
    elif figures is None:
        say(f"No hour from {replay.start:%Y-%m-%d %H:%M} to {replay.end:%Y-%m-%d %H:%M} had a champion in force.")
    else:
        _say_figures(f"replay of {settings.service_market}, rule {figures.rule}", figures, settings)
        if not replay.compared:
            say("Not compared: the ledger has none of these hours, or began later and with another book.")
        elif replay.difference is None:
            say(f"The ledger says the same bit for bit: {replay.compared:,} hours.")
    if replay.difference is not None:
        raise CryptobotError(f"the ledger is not what the replay gives: {replay.difference}")


def figured(figures: Figures) -> dict[str, Any]:
    """Figures for JSON, intervals as lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(figures).items()}


def _costs(settings: Settings) -> dict[str, float]:
    return {"fee_bps": settings.fee_bps, "slippage_bps": settings.slippage_bps}


def _say_figures(title: str, figures: Figures, settings: Settings) -> None:
    say(f"{title}: {figures.hours:,} hours, {figures.start:%Y-%m-%d %H:%M} to {figures.end:%Y-%m-%d %H:%M} UTC")
    rows = [
        ["bot", f"{figures.net:.4f}", _interval(figures.net_ci), _percent(figures.days_up)],
        ["holding the universe", f"{figures.universe:.4f}", "", _percent(figures.universe_days_up)],
        *([["holding Bitcoin", f"{figures.bitcoin:.4f}", "", ""]] if figures.bitcoin is not None else []),
        [
            "bot / universe",
            f"{figures.over_universe:.4f}",
            _interval(figures.over_universe_ci),
            _percent(figures.days_above),
        ],
    ]
    print_table(
        f"multiple of {figures.capital:,.0f} USDT, net, if all were sold now",
        ["account", "net", "90 % interval", "days up"],
        rows,
        numbers_from=1,
    )
    say(
        f"Costs {settings.fee_bps:g} + {settings.slippage_bps:g} bps a side: {figures.paid:.2%} of the capital so far; "
        f"{figures.turnover:.2f} of equity is bought and sold a day. {figures.notes} hours carry a note."
    )
    if figures.over_universe_ci is None:
        say(f"{figures.days} whole days are too few for an interval: nothing can be said of skill yet.")
    elif figures.over_universe_ci[0] <= 1 <= figures.over_universe_ci[1]:
        say("The interval of the ratio holds 1: luck alone would explain it.")


def _interval(ci: tuple[float, float] | None) -> str:
    return "" if ci is None else f"{ci[0]:.4f} to {ci[1]:.4f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)

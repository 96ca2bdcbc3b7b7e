"""What the paper bot has come to, beside simply holding."""

from __future__ import annotations

import polars as pl

from cryptobot_assets.dashboard import recorded
from cryptobot_assets.dashboard.figures import Shown
from cryptobot_assets.dashboard.figures_recorded import accounts_figure
from cryptobot_assets.dashboard.opening import Place
from cryptobot_assets.dashboard.recorded import Paper
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import empty, heading, show, show_table, tiles
from cryptobot_assets.domain.paper_figures import Figures
from cryptobot_assets.page import tables
from cryptobot_assets.page.tables import Table
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import PAPER_BALANCES, PAPER_DECISIONS, PAPER_FILLS


def paper_page(where: Place) -> None:
    """The ledger of the market that is served, from its first hour on."""
    settings, market = where.settings, where.settings.service_market
    found = held.ask(where, recorded.paper, settings, market, of=(PAPER_BALANCES, PAPER_DECISIONS, PAPER_FILLS))
    if found is None:
        heading("Paper", f"Market {market}.")
        empty(
            "The paper bot has booked nothing yet",
            "It books every hour under `cryptobot up`, once market ALL has a champion and the next klines are stored; "
            "or materialize `paper_ledger` in Dagster. Nothing is traded.",
        )
        return
    figures = found.figures
    heading(
        "Paper",
        f"Market {market}, rule {figures.rule}, {figures.hours:,} hours from {figures.start:%Y-%m-%d %H:%M} to "
        f"{figures.end:%Y-%m-%d %H:%M} (UTC). Nothing is traded.",
    )
    show_tiles(figures, settings)
    show(
        Shown(
            "paper-equity",
            "The paper bot against holding",
            f"What {figures.capital:,.0f} USDT of each account became, hour by hour: holdings at the last close, fees "
            "and slippage of what was traded paid. Dashed: another version began to rank.",
            accounts_figure(found.lines, found.versions),
        )
    )
    show_rows(found)


def show_tiles(figures: Figures, settings: Settings) -> None:
    """Multiples if all were sold now, each beside the control, with what luck alone would do."""
    costs = f"of capital; {settings.fee_bps:g} + {settings.slippage_bps:g} bps a side"
    sold = "if all were sold now"
    over = "" if figures.over_universe_ci is None else f"90 %: {tables.between(figures.over_universe_ci)}"
    few = f"{figures.days} whole days are too few for an interval"
    tiles(
        ("bot, net", tables.number(figures.net), f"90 %: {tables.between(figures.net_ci)}" if figures.net_ci else sold),
        ("control, net", tables.number(figures.universe), f"holding all, {sold}"),
        ("bot over control", tables.number(figures.over_universe), over or few),
        ("days up", _share(figures.days_up), f"holding all: {_share(figures.universe_days_up)}"),
        ("costs paid", f"{figures.paid:.2%}", costs),
    )


def show_rows(found: Paper) -> None:
    """What is held now, and what was bought and sold last."""
    total = float(found.held["value"].sum()) if found.held.height else 0.0
    rows = [
        [one["currency"], f"{one['quantity']:,.6g}", f"{one['value']:,.2f}", f"{one['value'] / total:.1%}"]
        for one in found.held.to_dicts()
    ]
    show_table(
        "Held now",
        Table("held", ("currency", "quantity", "value (USDT)", "share"), rows),
        note=f"Of all 24 sleeves, at the last close each knew. Cash: {found.figures.equity - total:,.2f} USDT.",
    )
    fills = found.fills.with_columns(pl.col("filled_at").dt.strftime("%Y-%m-%d %H:%M"))
    rows = [
        [one["filled_at"], one["currency"], one["side"], *(f"{one[name]:,.6g}" for name in ("quantity", "price")),
         f"{one['cost']:,.2f}"]
        for one in fills.to_dicts()
    ]  # fmt: skip
    columns = ("filled at (UTC)", "currency", "side", "quantity", "price (USDT)", "cost (USDT)")
    show_table("Last fills", Table("fills", columns, rows), note="Of the newest seven days, at most twenty.")


def _share(share: float | None) -> str:
    return "n/a" if share is None else f"{share:.0%}"

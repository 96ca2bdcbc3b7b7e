"""What capital would have become, after costs, beside the control that simply holds."""

from __future__ import annotations

from dataclasses import replace

from cryptobot_assets.dashboard import judging, queries
from cryptobot_assets.dashboard.figures import Shown
from cryptobot_assets.dashboard.figures_skill import equity_figure
from cryptobot_assets.dashboard.judging import Value
from cryptobot_assets.dashboard.opening import Place
from cryptobot_assets.dashboard.queries import EVERY, Selection
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import empty, heading, show, show_table, tiles
from cryptobot_assets.dashboard.views.predictions import told
from cryptobot_assets.page import tables
from cryptobot_assets.storage.store import INDICATORS, KLINES, PREDICTIONS


def value_page(where: Place, chosen: Selection) -> None:
    """The pool's value over the chosen days; it is the whole market's, whichever currency is chosen."""
    heading("Value", told(chosen))
    asked = replace(chosen, currency=EVERY)
    found = held.ask(where, judging.value, where.settings, asked, of=(PREDICTIONS, INDICATORS, KLINES))
    if found is None:
        empty(
            "No 24 hour hold has ended in these days",
            "The first one ends 24 hours after the first prediction, at a whole hour. Choose more days.",
        )
        return
    rows = held.ask(where, queries.prediction_rows, chosen, of=(PREDICTIONS,))
    show_values(found)
    cutoffs = queries.cutoffs_within(rows, chosen.span)[1:]
    show(
        Shown(
            "equity",
            "Value of the sleeves against holding",
            f"What capital became, all of it in the best of {found.currencies} currencies of each hour, net of "
            f"{costs_told(found)}. The band holds 90 % of histories put together from the same days in another "
            "order, so a control inside it is not clearly beaten.",
            equity_figure(found.times, found.net, found.band, found.held, cutoffs),
        )
    )
    show_table(
        "Allocation rules, the same predictions",
        tables.rule_table({"pool_value": found.row}),
        note=f"Net of {costs_told(found)}. Over control: net divided by what holding made, with 90 %.",
    )


def costs_told(found: Value) -> str:
    """The costs charged, in words."""
    return f"{found.row['fee_bps']:g} bps fee and {found.row['slippage_bps']:g} bps slippage a side"


def show_values(found: Value) -> None:
    """Net, gross and control."""
    row, control = found.row, found.control
    tiles(
        ("net", tables.number(row["net"]), f"90 %: {tables.between(row['net_ci'])}"),
        ("gross", tables.number(row["gross"]), "before costs"),
        ("control, net", tables.number(control["net"]), f"holding all; gross {tables.number(control['gross'])}"),
        ("trades", f"{row['trades']:,}", costs_told(found)),
    )

"""What the prediction service told, and what came of it, version by version."""

from __future__ import annotations

from typing import Any

from cryptobot_assets.dashboard import recorded
from cryptobot_assets.dashboard.figures import Shown
from cryptobot_assets.dashboard.figures_recorded import served_figure
from cryptobot_assets.dashboard.opening import Place
from cryptobot_assets.dashboard.recorded import Record
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import empty, heading, show, show_table, tiles
from cryptobot_assets.page import tables
from cryptobot_assets.page.tables import Table
from cryptobot_assets.storage.store import PREDICTION_OUTCOMES, SERVED_PREDICTIONS

ONCE = "A row counts once a version, however often it was served."


def served_page(where: Place) -> None:
    """Served predictions of the newest days and their outcomes."""
    market = where.settings.service_market
    found = held.ask(where, recorded.record, market, of=(SERVED_PREDICTIONS, PREDICTION_OUTCOMES))
    if found is None:
        heading("Served", f"Market {market}.")
        empty(
            "No served prediction is stored yet",
            "Ask the service (`POST /predict`); what it answers is stored ten minutes past every hour under "
            "`cryptobot up`, or when `served_predictions` is materialized in Dagster.",
        )
        return
    heading(
        "Served", f"Market {market}, served from {found.since:%Y-%m-%d} to {found.newest:%Y-%m-%d %H:%M} (UTC). {ONCE}"
    )
    if found.versions.is_empty():
        tiles(("predictions", f"{found.served:,}", "served and stored"))
        empty(
            "No outcome of them is known yet",
            "An outcome is known 24 hours after its row, once the klines are stored; `prediction_outcomes` then tells "
            "it, ten minutes past every hour under `cryptobot up`.",
        )
        return
    show_served(found)


def show_served(found: Record) -> None:
    """Figures, each version's record, and the challenger beside the champion."""
    best = found.versions.row(0, named=True)
    tiles(
        ("replies", f"{found.served:,}", "served and stored"),
        ("outcomes known", f"{found.versions['rows'].sum():,}", f"of {found.versions.height} versions"),
        ("direction right", f"{best['hits']:.1%}", f"{_name(best)}; always saying the same: {best['base_rate']:.1%}"),
        ("error against zero", tables.relative_error(best), f"{_name(best)}; below 0 is better than nothing"),
    )
    show(
        Shown(
            "served-errors",
            "Error of served predictions against predicting zero",
            "Each point is one day of rows; below 0 % a version was better than predicting nothing. Days differ far "
            "more than versions do.",
            served_figure(found.days),
        )
    )
    show_versions(found)
    show_compared(found)


def show_versions(found: Record) -> None:
    """A row a version."""
    rows = [
        [
            _name(one), f"{one['served']:,}", f"{one['answered']:,}", f"{one['rows']:,}", f"{one['mse']:.3e}",
            f"{one['mse_zero']:.3e}", tables.relative_error(one), f"{one['hits']:.1%}", f"{one['base_rate']:.1%}",
        ]
        for one in found.versions.to_dicts()
    ]  # fmt: skip
    columns = ("version", "scored", "answered", "rows", "MSE", "MSE of zero", "against zero", "direction right",
               "base rate")  # fmt: skip
    show_table(
        "By version",
        Table("versions", columns, rows),
        note="Scored and answered count predictions, shadows are only scored. Base rate: how often the more frequent "
        "direction came, which whoever always says it gets right. Labels of neighbouring hours overlap: 24 rows of a "
        "currency are about one independent sample.",
    )


def show_compared(found: Record) -> None:
    """Champion and challenger on the rows that both scored."""
    if found.compared.is_empty():
        empty(
            "No row was scored by two versions",
            "While the alias `challenger` names another version than the champion, it scores the same requests in "
            "shadow; `CRYPTOBOT_CHALLENGER_SHARE` lets it answer a share of them.",
        )
        return
    rows = [
        [
            one["answered"], one["shadow"], f"{one['rows']:,}", f"{one['mse']:.3e}", f"{one['mse_shadow']:.3e}",
            f"{one['mse_shadow'] / one['mse'] - 1:+.2%}", f"{one['closer']:.1%}", f"{one['newest']:%Y-%m-%d %H:%M}",
        ]
        for one in found.compared.to_dicts()
    ]  # fmt: skip
    columns = ("answered", "in shadow", "rows", "MSE answered", "MSE shadow", "shadow against it", "shadow closer",
               "newest row (UTC)")  # fmt: skip
    show_table(
        "The same rows by two versions",
        Table("compared", columns, rows),
        note="Who answered beside who scored the same requests in shadow. Without a difference the shadow is closer "
        "on half of the rows.",
    )


def _name(one: dict[str, Any]) -> str:
    return f"{one['algorithm']} {one['version']}"

"""Whether the champion's features are spread as when it was trained."""

from __future__ import annotations

from cryptobot_assets.dashboard import drifting
from cryptobot_assets.dashboard.drifting import Drifts, Trained
from cryptobot_assets.dashboard.figures import Shown
from cryptobot_assets.dashboard.figures_drift import drift_figure
from cryptobot_assets.dashboard.opening import Place
from cryptobot_assets.dashboard.queries import Span
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import empty, heading, show, show_table, tiles
from cryptobot_assets.domain.drift import Drift
from cryptobot_assets.page import tables
from cryptobot_assets.page.tables import Table
from cryptobot_assets.storage.store import INDICATORS, KLINES


def drift_page(where: Place, currency: str, span: Span) -> None:
    """The champion's features over the chosen days, of all its currencies whichever is chosen."""
    market = where.settings.service_market
    heading("Drift", f"Features of the champion of market {market}, its training rows against {span.days} (UTC).")
    trained = held.ask_models(drifting.champion_training, market)
    if trained is None:
        empty(
            f"Market {market} has no champion",
            "Train models and materialize `champion_model`; until then there are no training rows to compare with.",
        )
        return
    if span.end <= trained.cutoff:
        empty(
            f"These days are before the cutoff {trained.cutoff:%Y-%m-%d} of the champion",
            "Choose days after it: drift is of rows the model has not seen.",
        )
        return
    found = held.ask(where, drifting.drifts, where.settings, trained, span, of=(INDICATORS, KLINES))
    if not found.features:
        empty(
            "There are no complete rows to compare",
            "A row needs every feature, which reach back 28 days and more. Choose other days, or see the page Data.",
        )
        return
    show_drifts(found, trained)


def show_drifts(found: Drifts, trained: Trained) -> None:
    """How many features drifted, and each of them."""
    told = [one for one in found.features if one.usual is not None]
    drifted = [one for one in told if one.drifted]
    unknown = "too few days of training to tell what is usual: choose fewer recent days"
    tiles(
        ("beyond usual", f"{len(drifted)}", f"of {len(told)} features") if told else ("beyond usual", "n/a", unknown),
        ("training rows", f"{found.trained_rows:,}", f"hourly, {found.trained.days}"),
        ("recent rows", f"{found.recent_rows:,}", f"hourly, {len(trained.currencies)} currencies"),
    )
    show(
        Shown(
            "drift",
            f"Population stability index of the features of {trained.algorithm} version {trained.version}",
            "0 is spread as in training. The mark is what 90 % of spans of the same length within the training rows "
            "stay below: only beyond it has a feature drifted further than it always does.",
            drift_figure(found.features),
        )
    )
    rows = [[one.feature, tables.number(one.index), tables.number(one.usual), _beyond(one)] for one in found.features]
    show_table("Every feature", Table("drift", ("feature", "index", "usual (90 %)", "beyond"), rows))


def _beyond(one: Drift) -> str:
    if one.usual is None:
        return tables.NOTHING
    return "yes" if one.drifted else "no"

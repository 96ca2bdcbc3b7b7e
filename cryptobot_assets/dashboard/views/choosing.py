"""What is looked at: the choices at the side, kept in the page's address so that it can be shared."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import polars as pl
import streamlit as st

from cryptobot_assets.dashboard import queries
from cryptobot_assets.dashboard.opening import Place, addresses
from cryptobot_assets.dashboard.queries import Selection, Span
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import empty
from cryptobot_assets.page.last import last_report
from cryptobot_assets.page.render import page_path
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import INDICATORS, KLINES, PREDICTIONS, Table

EVERY_VERSION = "all, in turn"
IN_ADDRESS: Final = "query-params"


def choose_place(settings: Settings) -> Place:
    """The store: the deployment's own, or another that the settings name."""
    known = addresses(settings)
    if len(known) == 1:
        return held.place(settings.lake_url)
    return held.place(known[st.sidebar.selectbox("Store", list(known), key="store", bind=IN_ADDRESS)])


def choose_currency(where: Place, table: Table = INDICATORS) -> tuple[str, tuple[datetime, datetime]]:
    """A currency that has rows, and its first and newest; a page without any says what to do."""
    stored = held.ask(where, queries.stored_spans, table, of=(table,))
    if not stored:
        _say_what_is_missing(where)
        st.stop()
    order = {name: place for place, name in enumerate(where.settings.currencies)}
    names = sorted(stored, key=lambda name: (order.get(name, len(order)), name))
    currency = st.sidebar.selectbox("Currency", names, key="currency", bind=IN_ADDRESS)
    return currency, stored[currency]


def choose_span(where: Place, currency: str, stored: tuple[datetime, datetime]) -> Span:
    """The days, both ends included."""
    first, newest = stored[0].date(), stored[1].date()
    start, end = queries.default_days(stored)

    def choose_day(title: str, day: date) -> date:
        return st.sidebar.date_input(
            title, day, min_value=first, max_value=newest, format="YYYY-MM-DD", bind=IN_ADDRESS,
            key=f"{title.lower()}-{currency}",
        )  # fmt: skip

    chosen_first, chosen_last = choose_day("From", start), choose_day("To", end)
    if chosen_first > chosen_last:
        empty("The first day is after the last", "Choose a first day that is not later than the last one.")
        st.stop()
    span = queries.span_of(where.settings, chosen_first, chosen_last)
    if span.cut:
        st.info(
            f"Outcomes from {where.settings.holdout_from} on are locked (CRYPTOBOT_HOLDOUT_FROM): nothing is shown "
            "whose label reaches into them."
        )
    return span


def choose_model(where: Place, currency: str, span: Span) -> Selection:
    """Market, algorithm and version among those that scored rows of the currency in these days."""
    scored = held.ask(where, queries.scored_by, currency, span, of=(PREDICTIONS,))
    if scored.is_empty():
        say_no_predictions(where, currency, span)
        st.stop()
    market = st.sidebar.selectbox("Market", queries.markets_of(scored), key="market", bind=IN_ADDRESS)
    within = scored.filter(market=market)
    names = within["algorithm"].unique(maintain_order=True).to_list()
    report = last_report(page_path(where.settings, market)) or {}
    serving = (report.get("champion") or {}).get("algorithm")
    first = names.index(serving) if serving in names else 0
    algorithm = st.sidebar.selectbox("Algorithm", names, first, key="algorithm", bind=IN_ADDRESS)
    versions = within.filter(algorithm=algorithm)
    version = st.sidebar.selectbox(
        "Version",
        [EVERY_VERSION, *versions["version"].to_list()],
        format_func=lambda name: _version_told(name, versions),
        key="version",
        bind=IN_ADDRESS,
        help="Each row is scored by the newest version whose cutoff is at or before its time.",
    )
    return Selection(currency, market, algorithm, None if version == EVERY_VERSION else version, span)


def _version_told(name: str, versions: pl.DataFrame) -> str:
    if name == EVERY_VERSION:
        return name
    cutoff = versions.filter(version=name)["cutoff"][0]
    return f"{name} (cutoff {cutoff:%Y-%m-%d})"


def _say_what_is_missing(where: Place) -> None:
    """Why there is no indicator to show, and what to do."""
    home = where.settings.home
    if not home.is_dir():
        empty(
            f"There is no home at {home}",
            "Run `make demo` for a simulated market, or set `CRYPTOBOT_HOME` to a home that is filled.",
        )
    elif not held.ask(where, queries.stored_spans, KLINES, of=(KLINES,)):
        empty(
            f"No klines are stored in {where.address}",
            "Fill it with `cryptobot backfill --currencies BTCUSDT,ETHUSDT --from 2024-01-01 --to 2024-06-30`, or "
            "leave `cryptobot up` running: it ingests by itself at 00:00 and 12:00 UTC.",
        )
    else:
        empty(
            "There are klines, but no indicators yet",
            "They follow their klines by themselves under `cryptobot up`; else materialize the asset `indicators` in "
            "Dagster, or run `cryptobot backfill` over the same days.",
        )


def say_no_predictions(where: Place, currency: str, span: Span) -> None:
    """Why there is nothing to compare."""
    empty(
        f"No prediction of {currency} is stored for {span.days}",
        "Choose later days, after the first cutoff of a model: every row shown is out of sample. If there is no model "
        "yet, train one (`make demo`, or materialize a model asset in Dagster), then materialize `predictions`.",
    )

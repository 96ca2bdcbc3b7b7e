"""What is stored: how fresh every currency is, and which klines of one are not there, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl
import streamlit as st

from cryptobot_assets.dashboard import health
from cryptobot_assets.dashboard.figures import Shown, missing_figure
from cryptobot_assets.dashboard.health import Freshness, Holes
from cryptobot_assets.dashboard.opening import Place
from cryptobot_assets.dashboard.queries import Span
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import heading, show, show_table, tiles
from cryptobot_assets.page import tables
from cryptobot_assets.page.tables import Table
from cryptobot_assets.profile import market_source
from cryptobot_assets.storage.store import GAPS, INDICATORS, KLINES

MOST_GAPS = 200


def data_page(where: Place, currency: str, span: Span) -> None:
    """Freshness of all currencies, then gaps of the chosen one."""
    settings = where.settings
    source = market_source(settings.home, settings.exchange_url)
    heading("Data", f"{where.address}: {settings.interval} klines, {source}. Gaps of {currency}, {span.days} (UTC).")
    spans = held.ask(where, health.newest, of=(KLINES, INDICATORS))
    show_freshness(health.freshness(spans, settings.interval, datetime.now(UTC)), settings.freshness_hours)
    show_holes(held.ask(where, health.holes, currency, span, settings.interval, of=(KLINES, GAPS)), currency, span)


def show_freshness(found: Sequence[Freshness], limit_hours: float) -> None:
    """How old the newest klines are; what people are told of stands out."""
    stale = [one.currency for one in found if one.age_hours > limit_hours]
    if stale:
        st.warning(
            f"The newest klines of {', '.join(stale[:5])}{' and others' if len(stale) > 5 else ''} are older than "
            f"{limit_hours:g} hours (CRYPTOBOT_FRESHNESS_HOURS). A demo's market has ended and stays so; else see "
            "whether `cryptobot up` runs and its schedules are on, or run `cryptobot backfill`."
        )
    rows = [[one.currency, _moment(one.kline), _moment(one.indicator), age_told(one.age_hours)] for one in found]
    show_table("Freshness", Table("freshness", ("currency", "newest kline", "newest indicators", "age"), rows))


def show_holes(found: Holes, currency: str, span: Span) -> None:
    """Missing klines by day and kind, and the gaps one by one."""
    lacking = found.expected - found.stored
    tiles(
        ("klines stored", f"{found.stored:,}", f"of {found.expected:,} expected"),
        ("lacking", f"{lacking:,}", f"{lacking / found.expected:.3%}" if found.expected else "nothing is expected"),
        ("recorded gaps", f"{found.gaps.height:,}", "none is ever filled"),
    )
    if found.days.is_empty():
        st.success(f"No kline of {currency} is lacking in these days.")
        return
    show(
        Shown(
            "missing",
            f"Klines of {currency} that are not stored, by day",
            "Outages and halts are the exchange's own. What is missing or not recorded is on our side: "
            "materialize `gap_ledger`, then `gap_repair`, of that month.",
            missing_figure(found.days).update_xaxes(range=[span.start, span.end]),
        )
    )
    show_table("Gaps", gap_table(found.gaps), note=f"The newest {MOST_GAPS}." if found.gaps.height > MOST_GAPS else "")


def gap_table(gaps: pl.DataFrame) -> Table:
    """A row a gap, the newest first."""
    rows = [
        [_moment(time), _moment(end), f"{missing:,}", kind]
        for time, end, missing, kind in gaps.head(MOST_GAPS).iter_rows()
    ]
    return Table("gaps", ("from (UTC)", "to", "klines", "kind"), rows)


def age_told(hours: float) -> str:
    """An age for people.

    >>> age_told(1.5), age_told(80)
    ('1.5 hours', '3.3 days')
    """
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.1f} days"


def _moment(time: datetime | None) -> str:
    return tables.NOTHING if time is None else f"{time:%Y-%m-%d %H:%M}"

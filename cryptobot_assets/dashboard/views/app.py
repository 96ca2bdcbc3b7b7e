"""The dashboard as Streamlit runs it: `streamlit run app.py`, once for every look at a page."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from cryptobot_assets.dashboard.opening import Place
from cryptobot_assets.dashboard.queries import Selection, Span
from cryptobot_assets.dashboard.views import choosing, held
from cryptobot_assets.dashboard.views.champion import champion_page
from cryptobot_assets.dashboard.views.data import data_page
from cryptobot_assets.dashboard.views.drift import drift_page
from cryptobot_assets.dashboard.views.paper import paper_page
from cryptobot_assets.dashboard.views.predictions import predictions_page
from cryptobot_assets.dashboard.views.served import served_page
from cryptobot_assets.dashboard.views.skill import skill_page
from cryptobot_assets.dashboard.views.value import value_page
from cryptobot_assets.errors import CryptobotError
from cryptobot_assets.storage.store import INDICATORS, KLINES, Table


def _of_predictions(page: Callable[[Place, Selection], None]) -> Callable[[], None]:
    """A page on the predictions that are chosen at the side."""

    def run() -> None:
        where = choosing.choose_place(held.settings())
        currency, stored = choosing.choose_currency(where)
        span = choosing.choose_span(where, currency, stored)
        page(where, choosing.choose_model(where, currency, span))

    return _guarded(run)


def _of_days(page: Callable[[Place, str, Span], None], table: Table) -> Callable[[], None]:
    """A page on the currency, among those with rows in a table, and the days that are chosen at the side."""

    def run() -> None:
        where = choosing.choose_place(held.settings())
        currency, stored = choosing.choose_currency(where, table)
        page(where, currency, choosing.choose_span(where, currency, stored))

    return _guarded(run)


def _guarded(page: Callable[[], None]) -> Callable[[], None]:
    """The page; a failure with a name is told in one line."""

    def run() -> None:
        try:
            page()
        except CryptobotError as error:
            st.error(str(error))

    return run


PAGES: dict[str, Callable[[], None]] = {
    "Predictions": _of_predictions(predictions_page),
    "Skill": _of_predictions(skill_page),
    "Value": _of_predictions(value_page),
    "Paper": _guarded(lambda: paper_page(choosing.choose_place(held.settings()))),
    "Served": _guarded(lambda: served_page(choosing.choose_place(held.settings()))),
    "Data": _of_days(data_page, KLINES),
    "Drift": _of_days(drift_page, INDICATORS),
    "Champion": _guarded(lambda: champion_page(held.settings())),
}
"""Every page by its title; the first is the one that opens."""


def main() -> None:
    """Lay out the pages and run the one that is looked at."""
    st.set_page_config(page_title="cryptobot", layout="wide")
    pages = [
        st.Page(run, title=title, url_path=title.lower(), default=not place)
        for place, (title, run) in enumerate(PAGES.items())
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    main()

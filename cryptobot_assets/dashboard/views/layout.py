"""How every page is laid out: its heading, its figures with a title and a sentence, and what it says when empty."""

from __future__ import annotations

import streamlit as st

from cryptobot_assets.dashboard.figures import Shown
from cryptobot_assets.page.tables import Table

TILE_WIDTH = 160
"""Pixels: two of them fit beside each other on a phone."""
PLAIN = {"displayModeBar": False, "responsive": True}


def heading(title: str, facts: str) -> None:
    """The page's title, and in one line what is shown."""
    st.markdown(f"### {title}")
    st.caption(facts)


def tiles(*figures: tuple[str, str, str]) -> None:
    """Figures side by side, as many in a row as fit: what it is, the figure, what to hold it against."""
    row = st.container(horizontal=True, gap="medium")
    for title, figure, beside in figures:
        tile = row.container(width=TILE_WIDTH, gap="xxsmall")
        tile.metric(title, figure)
        tile.caption(beside)


def show(shown: Shown) -> None:
    """A figure below its title and the sentence of how to read it."""
    st.markdown(f"##### {shown.title}")
    st.caption(shown.reading)
    st.plotly_chart(shown.figure, key=shown.name, config=PLAIN, alt=f"{shown.title}. {shown.reading}")


def show_table(title: str, table: Table, *, note: str = "") -> None:
    """A table of text, its first column naming the row."""
    st.markdown(f"##### {title}")
    if note:
        st.caption(note)
    columns = {name: [row[place] for row in table.rows] for place, name in enumerate(table.columns)}
    st.dataframe(columns, hide_index=True, key=f"table-{table.name}")


def empty(what: str, advice: str) -> None:
    """There is nothing to show: what is missing, and what to do."""
    st.info(f"**{what}.** {advice}")

"""How every page is laid out: its heading, its figures with a title and a sentence, and what it says when empty."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from cryptobot_assets.dashboard.figures import Shown
from cryptobot_assets.page.tables import Table

TILE_WIDTH = 160
"""Pixels: two of them fit beside each other on a phone."""
MOST_SHOWN = 40
"""Rows of a table that are all shown; a longer one is scrolled."""
LONG_NAME = 15
"""Letters of a row's name that need a wider column."""
PLAIN = {"displayModeBar": False, "responsive": True}


def heading(title: str, facts: str) -> None:
    """The page's title, and in one line what is shown."""
    st.markdown(f"### {title}")
    st.caption(facts)


def tiles(*figures: tuple[str, str, str]) -> None:
    """Figures side by side, as many in a row as fit: what it is, the figure, what to hold it against."""
    row = st.container(horizontal=True, gap="small")
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
    first = table.columns[0]
    wide = max(map(len, columns[first]), default=0) > LONG_NAME
    widths = {first: st.column_config.TextColumn(width="medium")} if wide else None
    height: Literal["content", "auto"] = "content" if len(table.rows) <= MOST_SHOWN else "auto"
    st.dataframe(columns, hide_index=True, height=height, column_config=widths, key=f"table-{table.name}")


def empty(what: str, advice: str) -> None:
    """There is nothing to show: what is missing, and what to do."""
    st.info(f"**{what}.** {advice}")

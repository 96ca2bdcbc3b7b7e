"""How well outcomes were predicted: direction, squared error and IC, each beside what costs nothing to know."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from cryptobot_assets.dashboard import judging
from cryptobot_assets.dashboard.figures import Shown
from cryptobot_assets.dashboard.figures_skill import (
    calibration_figure,
    cloud_figure,
    currency_figure,
    error_figure,
    relative_figure,
    skill_figure,
)
from cryptobot_assets.dashboard.judging import Skill
from cryptobot_assets.dashboard.opening import Place
from cryptobot_assets.dashboard.queries import EVERY, Selection
from cryptobot_assets.dashboard.views import held
from cryptobot_assets.dashboard.views.layout import empty, heading, show, show_table, tiles
from cryptobot_assets.dashboard.views.predictions import told
from cryptobot_assets.domain.day_facts import error_course
from cryptobot_assets.page import tables
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS

WHOLE, ALONE = "the whole market", "this currency alone"


def skill_page(where: Place, chosen: Selection) -> None:
    """Figures and charts of skill over the chosen days."""
    heading("Skill", told(chosen))
    over = st.radio("Rows of", [WHOLE, ALONE], horizontal=True, key="rows-of", bind="query-params")
    settings = where.settings
    asked = chosen if over == ALONE else replace(chosen, currency=EVERY)
    found = held.ask(where, judging.skill, settings, asked, over == ALONE, of=(PREDICTIONS, INDICATORS))
    if found is None:
        empty(
            "No outcome of these rows is known yet",
            "An outcome is known 24 hours after its row, once later indicators are stored and `predictions` has been "
            "materialized again. Choose earlier days.",
        )
        return
    show_figures(found)
    show_direction(found)
    for shown in skill_charts(found):
        show(shown)


def show_figures(found: Skill) -> None:
    """The figures, each with what to hold it against."""
    row = found.row
    tiles(
        ("IC", tables.number(row["ic"]), f"90 %: {tables.between(row['ic_ci'])}"),
        ("error against zero", tables.relative_error(row), "below 0 is better than predicting nothing"),
        ("MSE", f"{row['mse']:.3e}", f"predicting zero: {row['mse_zero']:.3e}"),
        ("rows", f"{row['rows']:,}", f"{row['classification']['effective_n']:,.0f} independent"),
    )


def show_direction(found: Skill) -> None:
    """The classification report beside the base rate and what no skill gives."""
    classes = found.row["classification"]
    show_table(
        "Direction",
        tables.class_table(found.row),
        note=f"Base rate: {classes['base_rate']:.1%} of the rows went up, the precision of always saying so. Without "
        f"skill, 90 % of precisions of up lie within {tables.between(classes['no_skill_precision'])}; this one is "
        f"{classes['1']['precision']:.3f}, of {classes['effective_n']:,.0f} independent samples.",
    )


def skill_charts(found: Skill) -> list[Shown]:
    """The charts of the page, those there are rows for."""
    course, inside = error_course(found.days), found.cutoffs[1:]
    made = [
        Shown(
            "errors",
            "Mean squared error by day",
            "A model that knows little has almost the error of predicting zero; days differ far more than models do.",
            error_figure(course, inside),
        ),
        Shown(
            "relative",
            "Error against predicting zero",
            "Below 0 % the model is better than predicting nothing. Bars are single days, the line is all days so far.",
            relative_figure(course, inside),
        ),
    ]
    if found.course.weeks:
        made.append(
            Shown(
                "ic",
                "IC over time",
                "Bars are single weeks, the line is the mean from the start; skill is there once its 90 % band has "
                "left zero for good.",
                skill_figure(found.course),
            )
        )
    if found.tenths and found.cloud:
        made.append(
            Shown(
                "cloud",
                "Actual against predicted",
                "Darker cells hold more hourly rows; a model that knows something has a cloud, and a line of means, "
                f"that rise to the right. {found.cloud.outside:,} rows lie outside.",
                cloud_figure(found.cloud, found.tenths),
            )
        )
        made.append(
            Shown(
                "calibration",
                "Calibration",
                "On the dashed line a prediction means what it says; a flat line means that it says nothing.",
                calibration_figure(found.tenths),
            )
        )
    if found.by_currency.height > 1:
        made.append(
            Shown(
                "by_currency",
                "IC by currency",
                "Nine of ten currencies without skill lie in the shaded part.",
                currency_figure(found.by_currency),
            )
        )
    return made

"""The charts of the report page: each with its title, one sentence of how to read it, and its legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cryptobot_assets.domain.curves import Band, Calibration, Density, SkillCourse, cost_curve
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.portfolio import HIGHEST_BREAK_EVEN, Result
from cryptobot_assets.page.axes import Axis, days_since_1970, percent, plain
from cryptobot_assets.page.svg import Plot

SHADES = 8
MOST_NAMED = 24
"""Currencies that a chart can name one by one."""

WEEK_BAR_DAYS = 5.6
FEWEST_ROWS_HEIGHT = 84


@dataclass(frozen=True)
class Key:
    """One entry of a legend: the class of its colour, the shape of its mark, and what it is."""

    style: str
    words: str
    mark: str = "line"


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        name: stable, for links and tests.
        reading: one sentence that says how to read it.
        svg: the picture, safe to put into the page as it is.
    """

    name: str
    title: str
    reading: str
    svg: str
    keys: Sequence[Key] = ()


def against_outcome(density: Density, tenths: Calibration) -> Chart:
    """Density of outcome against prediction, with the mean of each tenth."""
    x = Axis("predicted 24 h return", density.predicted[0], density.predicted[-1], percent)
    y = Axis("realised 24 h return", density.realised[0], density.realised[-1], percent)
    plot = Plot("Realised against predicted 24 h return, as a density", x, y)
    scale = np.sqrt(density.counts / max(density.counts.max(), 1))
    plot.cells(density.predicted, density.realised, np.ceil(scale * SHADES).astype(int), levels=SHADES)
    plot.level(0.0, "zero").upright(0.0, "zero")
    plot.line([x.low, x.high], [x.low, x.high], "ideal")
    plot.line(tenths.predicted, tenths.realised, "mean").dots(tenths.predicted, tenths.realised, "mean", size=3)
    return Chart(
        "against_outcome",
        "Realised against predicted return",
        "Darker cells hold more hourly rows; a model that knows something has a cloud, and a line of means, that rise "
        f"to the right ({density.outside:,} rows of {density.outside + density.counts.sum():,} lie outside).",
        plot.svg(),
        (
            Key("cell", "rows", "area"),
            Key("mean", "mean of each tenth"),
            Key("ideal", "as predicted"),
        ),
    )


def calibration_chart(tenths: Calibration) -> Chart:
    """Mean outcome of each tenth of the predictions, with bands."""
    lows, highs = tenths.band or (tenths.realised, tenths.realised)
    x = Axis.around("mean predicted 24 h return of the tenth", tenths.predicted, format=percent)
    y = Axis.around("mean realised 24 h return", lows, highs, tenths.realised, 0.0, format=percent)
    plot = Plot("Mean realised return of each tenth of the predictions", x, y)
    plot.level(0.0, "zero").line([x.low, x.high], [x.low, x.high], "ideal")
    plot.whiskers(tenths.predicted, lows, highs, "model")
    told = [
        f"tenth {number}: predicted {percent(said)}, realised {percent(came)}, {rows:,} rows"
        for number, (said, came, rows) in enumerate(
            zip(tenths.predicted, tenths.realised, tenths.rows, strict=True), start=1
        )
    ]
    plot.line(tenths.predicted, tenths.realised, "model").dots(
        tenths.predicted, tenths.realised, "model", size=4.5, titles=told
    )
    return Chart(
        "calibration",
        "Calibration: what came of each tenth of the predictions",
        "On the dashed line a prediction means what it says; a flat line means that it says nothing. Uprights are "
        "90 % bands, whole days resampled.",
        plot.svg(),
        (Key("model", "realised, with 90 %"), Key("ideal", "as predicted")),
    )


def skill_chart(course: SkillCourse, *, cross_section: bool) -> Chart:
    """Skill week by week, and its mean so far with the band."""
    middles = days_since_1970(course.weeks) + 3.5
    lows, highs = course.band or (course.so_far, course.so_far)
    x = Axis.of_time([course.weeks[0], course.weeks[-1] + 7 * DAY])
    y = Axis.around("mean hourly IC", course.of_week, np.clip(lows, -0.5, 0.5), np.clip(highs, -0.5, 0.5), 0.0)
    plot = Plot("Skill by week and its mean so far", x, y)
    told = [
        f"week of {week:%Y-%m-%d}: {plain(value)}" for week, value in zip(course.weeks, course.of_week, strict=True)
    ]
    plot.bars(middles, WEEK_BAR_DAYS, course.of_week, "week", titles=told)
    plot.band(middles, lows, highs, "model").level(0.0, "zero").line(middles, course.so_far, "model")
    what = "IC ranks the currencies of an hour" if cross_section else "IC here compares one currency's hours"
    return Chart(
        "skill_over_time",
        "IC over time",
        f"{what}; bars are single weeks, the line is the mean from the start up to that week, and skill is "
        "there once its 90 % band has left zero for good.",
        plot.svg(),
        (Key("week", "week", "area"), Key("model", "mean so far, with 90 %")),
    )


def currency_chart(skills: pl.DataFrame) -> Chart:
    """Skill by currency, best first."""
    count = skills.height
    names, values = skills["currency"].to_list(), skills["ic"].to_numpy()
    reach = float(skills.select(pl.max("reach")).item()) if count else 0.0
    told = [f"{name}: {plain(value)}" for name, value in zip(names, values, strict=True)]
    reading = (
        "Rank correlation over time of each currency's own predictions and returns; currencies without skill lie "
        "within the shaded part nine times of ten."
    )
    x = Axis.around("rank correlation over time", values, -reach, reach, 0.0)
    if count <= MOST_NAMED:
        places = np.arange(count)[::-1]
        y = Axis.of_names(names)
        plot = Plot("IC by currency", x, y, height=max(count * 20, FEWEST_ROWS_HEIGHT) + 56, left=96)
        plot.band([-reach, reach], [y.low] * 2, [y.high] * 2, "luck").upright(0.0, "zero")
        plot.lying_bars(places, 0.7, values, "model", titles=told)
    else:
        y = Axis("rank correlation over time", x.low, x.high)
        across = Axis(f"{count} currencies, best first", -0.6, count - 0.4, ticks=())
        plot = Plot("IC by currency", across, y)
        plot.band([across.low, across.high], [-reach] * 2, [reach] * 2, "luck").level(0.0, "zero")
        plot.bars(np.arange(count), 0.8, values, "model", titles=told)
        plot.text(0.5, y.high - (y.high - y.low) * 0.06, f"best: {', '.join(names[:3])}")
        plot.text(count - 1.5, y.low + (y.high - y.low) * 0.04, f"worst: {', '.join(names[-3:])}", anchor="end")
    return Chart(
        "skill_by_currency",
        "IC by currency",
        reading,
        plot.svg(),
        (Key("model", "currency", "area"), Key("luck", "90 % without skill", "area")),
    )


def equity_chart(
    times: Sequence[datetime], net: np.ndarray, band: Band | None, control: np.ndarray, bitcoin: np.ndarray | None
) -> Chart:
    """Net pool value day by day beside holding, with the band."""
    lows, highs = band or (net, net)
    x = Axis.of_time(times)
    days = days_since_1970(times)
    held = [control] if bitcoin is None else [control, bitcoin]
    y = Axis.around("multiple of capital", net, lows, highs, *held, log=True)
    plot = Plot("Value of the sleeves against holding", x, y)
    plot.band(days, lows, highs, "model").level(1.0, "zero")
    keys = [Key("model", "24 sleeves, net, with 90 %"), Key("control", "holding all (control)")]
    if bitcoin is not None:
        plot.line(days[: len(bitcoin)], bitcoin, "bitcoin")
        keys.append(Key("bitcoin", "holding BTC"))
    plot.line(days[: len(control)], control, "control").line(days, net, "model")
    return Chart(
        "equity",
        "Value of the sleeves against holding",
        "What capital became after costs, logarithmic scale; the band holds 90 % of histories put together from "
        "the same days in another order (blocks of days), so a control inside it is not clearly beaten.",
        plot.svg(),
        keys,
    )


def cost_chart(rules: Sequence[Result], control_net: float, cost_bps: float) -> Chart:
    """Value of every rule at any cost, with the break-even of each."""
    curves = [cost_curve(one.run) for one in rules]
    x = Axis("cost a side (basis points)", 0.0, float(curves[0][0][-1]))
    y = Axis.around("multiple of capital", *(values for _, values in curves), control_net, log=True)
    plot = Plot("Net value at any cost", x, y)
    plot.level(control_net, "control").upright(cost_bps, "now")
    keys = []
    for number, (rule, (costs, values)) in enumerate(zip(rules, curves, strict=True), start=1):
        plot.line(costs, values, f"c{number}")
        even = rule.break_even_bps
        if even is not None and even <= x.high:
            plot.dots([even], [control_net], f"c{number}", size=5, titles=[f"{rule.rule}: {even:.1f} bps"])
        told = "never" if even is None else f"{even:.0f} bps{' or more' if even >= HIGHEST_BREAK_EVEN else ''}"
        keys.append(Key(f"c{number}", f"{rule.rule} (breaks even: {told})"))
    return Chart(
        "costs",
        "Value at any cost",
        "Each line is an allocation rule; where it meets the control's line (dot) it only equals holding, and left of "
        "it trading pays. The upright line is the cost charged here.",
        plot.svg(),
        (*keys, Key("control", "control, net"), Key("now", f"cost charged, {cost_bps:g} bps")),
    )

"""Charts that compare models, and those of how a model was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cryptobot_assets.page.axes import Axis, Format, percent, plain
from cryptobot_assets.page.charts import FEWEST_ROWS_HEIGHT, Chart, Key
from cryptobot_assets.page.svg import Plot

MOST_FEATURES = 15
NAMES_LEFT = 164
ROW_HEIGHT = 26


def forest_chart(
    name: str,
    title: str,
    reading: str,
    axis_title: str,
    rows: Sequence[tuple[str, float | None, Sequence[float | None]]],
    levels: Mapping[str, float],
    *,
    log: bool = False,
    format: Format = plain,  # noqa: A002 what an axis calls it
) -> Chart:
    """A figure of every algorithm with its interval, beside upright levels.

    Args:
        rows: label, value, (low, high), from top to bottom.
        levels: upright lines by the class of their colour.
    """
    known = [(label, value, _pair(bounds, value)) for label, value, bounds in rows if value is not None]
    values = np.array([value for _, value, _ in known])
    lows, highs = np.array([pair for *_, pair in known]).reshape(-1, 2).T
    x = Axis.around(axis_title, values, lows, highs, *levels.values(), log=log, format=format)
    places = np.arange(len(known))[::-1].astype(float)
    y = Axis.of_names([label for label, *_ in known])
    plot = Plot(title, x, y, height=max(len(known) * ROW_HEIGHT, FEWEST_ROWS_HEIGHT) + 56, left=NAMES_LEFT)
    for style, level in levels.items():
        plot.upright(level, style)
    plot.spans(places, lows, highs, "model")
    told = [f"{label}: {format(value)} ({format(low)} to {format(high)})" for label, value, (low, high) in known]
    plot.dots(values, places, "model", size=5, titles=told)
    return Chart(name, title, reading, plot.svg())


def _pair(bounds: Sequence[float | None], value: float) -> tuple[float, float]:
    low, high = bounds
    return (value, value) if low is None or high is None else (low, high)


def worth_chart(worths: Sequence[Mapping[str, Any]]) -> Chart:
    """What each group of features adds out of sample, with its interval."""
    return forest_chart(
        "feature_worth",
        "What groups of features add",
        "How far the squared error rises on rows after the cutoff when a group's values are shuffled, the model left "
        "as it is; a 90 % interval that holds zero says that the group is not missed beside the others.",
        "rise of the error, share of that of predicting zero",
        [(f"{one['group']} ({one['features']})", one["gain"], one["ci"]) for one in worths],
        {"zero": 0.0},
        format=percent,
    )


def importance_chart(importance: Mapping[str, float]) -> Chart:
    """The largest shares of importance."""
    top = sorted(importance.items(), key=lambda item: -item[1])[:MOST_FEATURES]
    places = np.arange(len(top))[::-1].astype(float)
    x = Axis("share of the model's splits or weights", 0.0, max(value for _, value in top) * 1.06 or 1.0, percent)
    y = Axis.of_names([name for name, _ in top])
    plot = Plot("Feature importance", x, y, height=max(len(top) * 20, FEWEST_ROWS_HEIGHT) + 56, left=NAMES_LEFT)
    told = [f"{name}: {percent(value)}" for name, value in top]
    plot.lying_bars(places, 0.7, [value for _, value in top], "model", titles=told)
    rest = f" The other {len(importance) - len(top)} are smaller." if len(importance) > len(top) else ""
    return Chart(
        "importance",
        "Feature importance",
        f"How much of the newest version rests on each feature, in the model itself: not what it is worth.{rest}",
        plot.svg(),
        (),
    )


def trial_chart(histories: Mapping[str, Sequence[float | None]], zero: Mapping[str, float]) -> Chart:
    """Tuning value by trial for each cutoff, relative to predicting zero where that is known.

    Args:
        histories: value of each trial by cutoff, None where it failed.
        zero: error of predicting zero on the same folds, by cutoff.
    """
    relative = all(cutoff in zero for cutoff in histories)
    series = {
        cutoff: np.array([np.nan if one is None else one for one in values]) / (zero[cutoff] if relative else 1.0)
        for cutoff, values in histories.items()
    }
    longest = max(map(len, series.values()))
    best = [np.fmin.accumulate(values) for values in series.values()]
    x = Axis("trial", 0.5, longest + 0.5)
    low = min(float(np.nanmin(values)) for values in best)
    typical = max(float(np.nanquantile(values, 0.95, method="higher")) for values in series.values())
    level = [1.0] if relative else []
    y = Axis.around("error / error of predicting zero" if relative else "mean squared error", low, typical, *level)
    plot = Plot("Tuning value by trial", x, y)
    if relative:
        plot.level(1.0, "zero")
    keys = []
    for number, ((cutoff, values), ahead) in enumerate(zip(series.items(), best, strict=True), start=1):
        trials = np.arange(1, len(values) + 1)
        done = np.isfinite(values)
        plot.dots(trials[done], values[done], f"c{number} faint", size=3)
        plot.line(trials, ahead, f"c{number}")
        keys.append(Key(f"c{number}", f"as of {cutoff} ({len(values)} trials)"))
    return Chart(
        "trials",
        "Tuning history",
        "Dots are trials in the walk-forward folds before the cutoff, lines the best so far; a line that falls long "
        "after the first trials may fit the folds rather than the market.",
        plot.svg(),
        keys,
    )

"""The tables of the page: the same figures as the JSON report, rounded for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptobot_assets.domain.model_card import KNOWN_FIGURES, flat

NOTHING = "\u2013"
RANGE = "\u2009to\u2009"

LEAST_CHANCE = 0.001

KNOWN = {"market", "algorithm", "version", "cutoff", *KNOWN_FIGURES}
"""Parts of a model's figures that the page shows in places of their own."""


@dataclass(frozen=True)
class Table:
    """A table of text; the first column names the row, `marked` rows stand out."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()


def leaderboard(report: Mapping[str, Any]) -> Table:
    """Every algorithm beside what costs nothing to know; the control and BTC last."""
    rows = [_leader(model) for model in report["models"]]
    held, marked = report["control"], set()
    for label, part in (("holding all (control)", held), ("holding BTC", held.get("btc"))):
        if part and part.get("net") is not None:
            marked.add(len(rows))
            rows.append([label, "", number(part["net"]), number(part["gross"]), *[""] * 8])
    return Table(
        "leaderboard",
        (
            "algorithm", "version", "net value (90 %)", "gross value", "IC (90 %)", "error against zero",
            "precision up", "base rate", "without skill (90 %)", "effective n", "rows", "trades",
        ),
        rows,
        frozenset(marked),
    )  # fmt: skip


def _leader(model: Mapping[str, Any]) -> list[str]:
    classes, pool = model["classification"], model["pool_value"]
    return [
        model["algorithm"],
        str(model["version"]),
        with_interval(pool["net"], pool["net_ci"]),
        number(pool["gross"]),
        with_interval(model["ic"], model["ic_ci"]),
        relative_error(model),
        number(classes["1"]["precision"]),
        number(classes["base_rate"]),
        between(classes.get("no_skill_precision", (None, None))),
        number(classes["effective_n"], 0),
        number(model.get("rows"), 0),
        number(pool["trades"], 0),
    ]


def relative_error(model: Mapping[str, Any]) -> str:
    """Squared error beside that of predicting zero, as what it is more or less."""
    return f"{model['mse'] / model['mse_zero'] - 1:+.2%}" if model["mse_zero"] else NOTHING


def rule_table(model: Mapping[str, Any]) -> Table:
    """The same predictions under every allocation rule."""
    rows = [
        [
            one["rule"],
            with_interval(one["net"], one["net_ci"]),
            number(one["gross"]),
            with_interval(one["over_control"], one["over_control_ci"]),
            number(one["turnover_a_day"], 2),
            "never" if not one["break_even_bps"] else f"{one['break_even_bps']:.1f} bps",
            number(one["positions"], 1),
            f"{one['invested']:.0%}",
        ]
        for one in model["pool_value"]["rules"]
    ]
    return Table(
        "rules",
        (
            "rule", "net value (90 %)", "gross value", "over control (90 %)", "turnover a day", "break-even a side",
            "positions", "invested",
        ),
        rows,
    )  # fmt: skip


def class_table(model: Mapping[str, Any]) -> Table:
    """Precision, recall and F1 of down and up."""
    classes = model["classification"]
    rows = [
        [word, *(number(classes[key][name]) for name in ("precision", "recall", "f1")), f"{classes[key]['support']:,}"]
        for key, word in (("1", "up"), ("0", "down"))
    ]
    rows.append(["accuracy", number(classes["accuracy"]), "", "", f"{model['rows']:,}"])
    return Table("classes", ("class", "precision", "recall", "F1", "rows"), rows, frozenset({2}))


def gap_table(report: Mapping[str, Any]) -> Table:
    """Recorded gaps of each currency: how many and how long."""
    by_currency: dict[str, list[float]] = {}
    for gap in report["klines"]["gaps"]:
        span = datetime.fromisoformat(gap["to"]) - datetime.fromisoformat(gap["from"])
        by_currency.setdefault(gap["currency"], []).append(span.total_seconds() / 3600)
    rows = [
        [currency, f"{len(hours):,}", number(sum(hours), 1), number(max(hours), 1)]
        for currency, hours in sorted(by_currency.items(), key=lambda item: -sum(item[1]))
    ]
    return Table("gaps", ("currency", "gaps", "hours in all", "longest (hours)"), rows)


def further(facts: Mapping[str, Any]) -> Table:
    """Whatever else the report holds, a path and a value a row."""
    return Table("further", ("figure", "value"), [[path, value] for path, value in flat(facts)])


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits behind the point; a dash where there is none."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def chance(value: float | None) -> str:
    """A probability in percent; one of resampling is never told as none at all."""
    if value is None:
        return NOTHING
    return f"{value:.1%}" if value >= LEAST_CHANCE else f"< {LEAST_CHANCE:.1%}"


def between(bounds: Sequence[float | None]) -> str:
    """An interval."""
    low, high = bounds
    return NOTHING if low is None or high is None else f"{low:.3f}{RANGE}{high:.3f}"


def with_interval(value: float | None, bounds: Sequence[float | None]) -> str:
    """A figure with its interval in brackets."""
    inside = between(bounds)
    return number(value) if inside == NOTHING else f"{number(value)} ({inside})"

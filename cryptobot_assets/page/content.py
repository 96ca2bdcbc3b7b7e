"""The content of the page: from the evidence and the report to charts, tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptobot_assets.domain.promotion import Verdict
from cryptobot_assets.leaderboard import Evidence
from cryptobot_assets.page import model_charts, tables
from cryptobot_assets.page.charts import Chart, Key
from cryptobot_assets.page.facts import Making
from cryptobot_assets.page.sections import Section, make_section
from cryptobot_assets.page.tables import Table
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry_records import Override

REPORT_PARTS = {
    "market", "interval", "currencies", "days", "source", "klines", "indicators", "models", "control", "skill",
    "champion", "words",
}  # fmt: skip
"""Parts of the report that the page shows in places of their own; whatever else it holds goes into a table."""


@dataclass(frozen=True)
class Tile:
    """One of the figures at the top: what it is, the figure, and what to hold it against."""

    title: str
    figure: str
    beside: str


@dataclass(frozen=True)
class Content:
    """Everything the page says; the template only lays it out."""

    market: str
    facts: Sequence[tuple[str, str]]
    passed: bool
    verdict: str
    reasons: Sequence[str]
    serving: str
    words: Sequence[str]
    tiles: Sequence[Tile]
    leaderboard: Table
    overview: Sequence[Chart]
    sections: Sequence[Section]
    missing: Sequence[str]
    gaps: Table
    further: Table
    report: Mapping[str, Any] = field(repr=False)


def make_content(
    evidence: Evidence,
    report: Mapping[str, Any],
    makings: Mapping[str, Sequence[Making]],
    verdict: Verdict,
    settings: Settings,
    *,
    best: str,
    made: str,
) -> Content:
    """The content of the page on a market.

    Args:
        report: of the same evidence, see `whole_report`.
        verdict, best: what the gate says of these rows, and of which algorithm.
        made: when, in words.
    """
    models = {model["algorithm"]: model for model in report["models"]}
    sections = [
        make_section(one, evidence, models[name], makings.get(name, ()), settings, shown=name == best)
        for name, one in ((one.algorithm, one) for one in evidence.evaluations)
    ]
    return Content(
        market=evidence.market,
        facts=_facts(evidence, report, makings, settings, made),
        passed=verdict.promote,
        verdict=f"{best} passes the gate" if verdict.promote else f"No model passes the gate; {best} comes nearest",
        reasons=verdict.reasons,
        serving=_serving(report["champion"]),
        words=report["words"],
        tiles=_tiles(report, best),
        leaderboard=tables.leaderboard(report),
        overview=_overview(report),
        sections=sorted(sections, key=lambda one: not one.shown),
        missing=_missing(evidence, report, makings),
        gaps=tables.gap_table(report),
        further=tables.further({name: part for name, part in report.items() if name not in REPORT_PARTS}),
        report=report,
    )


def _facts(
    evidence: Evidence,
    report: Mapping[str, Any],
    makings: Mapping[str, Sequence[Making]],
    settings: Settings,
    made: str,
) -> list[tuple[str, str]]:
    """The header: what was evaluated, on what, by which code."""
    first = min(one.start for one in evidence.evaluations)
    last = max(one.end for one in evidence.evaluations)
    cutoffs = sorted({f"{one:%Y-%m-%d}" for rows in evidence.predictions.values() for one in rows["cutoff"].unique()})
    versions = [one for makings_of in makings.values() for one in makings_of]
    names, models = report["currencies"], evidence.evaluations
    return [
        ("market", f"{evidence.market}: {len(names)} currencies" if len(names) > 1 else evidence.market),
        ("out of sample", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"),
        ("scored rows", f"{sum(one.score.rows for one in models):,} by {len(models)} models"),
        ("cutoffs", _few(cutoffs)),
        ("costs a side", f"{settings.fee_bps:g} bps fee and {settings.slippage_bps:g} bps slippage"),
        ("klines", f"{settings.interval}, {report['source']}"),
        ("trained by commit", _few(sorted({one.git_commit[:12] for one in versions})) or "unknown"),
        ("trained on", _few(sorted({one.store_version for one in versions})) or "unknown"),
        ("made", made),
    ]


def _few(words: Sequence[str], most: int = 6) -> str:
    """A list of words, cut where it is long."""
    rest = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + rest


def _serving(champion: Mapping[str, Any] | None) -> str:
    if champion is None:
        return "No champion serves yet."
    word = "passed the gate" if champion["verdict"]["promote"] else "unproven"
    by_hand = Override(**champion["override"]).told if champion.get("override") else ""
    return f"{champion['algorithm']} version {champion['version']} serves ({word}). {by_hand}".strip()


def _tiles(report: Mapping[str, Any], best: str) -> list[Tile]:
    model = next(one for one in report["models"] if one["algorithm"] == best)
    classes, pool, skill, control = model["classification"], model["pool_value"], report["skill"], report["control"]
    luck, base = skill["p_value"], tables.number(classes["base_rate"])
    return [
        Tile("net value", tables.number(pool["net"]), f"holding: {tables.number(control.get('net'))}"),
        Tile("IC", tables.number(model["ic"]), f"90 %: {tables.between(model['ic_ci'])}"),
        Tile("error against zero", tables.relative_error(model), "below 0 is better than predicting nothing"),
        Tile("precision up", tables.number(classes["1"]["precision"]), f"base rate: {base}"),
        Tile(
            "chance of so much skill by luck",
            tables.chance(luck),
            f"all {len(report['models'])} models counted, {skill['hours']:,} hours",
        ),
        Tile("independent samples", tables.number(classes["effective_n"], 0), f"of {model['rows']:,} rows"),
    ]


def _overview(report: Mapping[str, Any]) -> list[Chart]:
    """Value and skill of all algorithms, each with its interval."""
    control = report["control"]
    levels = {"zero": 1.0}
    if control.get("net") is not None:
        levels["control"] = control["net"]
    if control.get("btc"):
        levels["bitcoin"] = control["btc"]["net"]
    pools = [(one["algorithm"], one["pool_value"]["net"], one["pool_value"]["net_ci"]) for one in report["models"]]
    skills = [(one["algorithm"], one["ic"], one["ic_ci"]) for one in report["models"]]
    made = []
    if any(value is not None for _, value, _ in pools):
        value = model_charts.forest_chart(
            "values",
            "Net value of every model",
            "A dot is what capital became after costs, its line the 90 % interval; only one wholly to the right of "
            "the control's line clearly beats holding.",
            "multiple of capital, net",
            pools,
            levels,
            log=True,
        )
        words = {"model": "model, with 90 %", "control": "holding all (control)", "bitcoin": "holding BTC"}
        keys = [Key(style, told) for style, told in words.items() if style in ("model", *levels)]
        made.append(replace(value, keys=keys))
    if any(value is not None for _, value, _ in skills):
        made.append(
            model_charts.forest_chart(
                "skills",
                "IC of every model",
                "Rank correlation of predictions and outcomes; an interval that holds zero is no evidence of skill.",
                "mean hourly IC",
                skills,
                {"zero": 0.0},
            )
        )
    return made


def _missing(evidence: Evidence, report: Mapping[str, Any], makings: Mapping[str, Sequence[Making]]) -> list[str]:
    """What is not there, counted."""
    klines = report["klines"]
    lines = [
        f"{klines['rows']:,} of {klines['expected']:,} klines are stored; {klines['missing']:,} are missing, "
        f"in {len(klines['gaps']):,} recorded gaps. None was invented."
    ]
    for one in evidence.evaluations:
        rows = evidence.predictions[one.algorithm]
        unknown = rows.height - one.score.rows
        unscored = max(klines["rows"] - one.score.rows, 0)
        lines.append(
            f"{one.algorithm}: {one.score.rows:,} rows scored; {unscored:,} klines of the span have no scored row "
            f"(a feature or the outcome is lacking), {unknown:,} outcomes are not known yet."
        )
    for algorithm, versions in makings.items():
        lacking = versions[-1].params.get("rows_lacking_a_feature") if versions else None
        if lacking not in (None, "0"):
            lines.append(f"{algorithm}: {int(lacking):,} rows lacked a feature when its newest version was trained.")
    return lines

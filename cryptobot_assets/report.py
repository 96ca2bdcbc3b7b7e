"""The report: what is stored, evaluated, as plain JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import Any

import polars as pl

from cryptobot_assets.domain.conformal import Bounds, Coverage, interval_coverage
from cryptobot_assets.domain.evaluation import Evaluation, finite, report_row, skill_of, verdict_in_words
from cryptobot_assets.domain.gap_grid import Kind
from cryptobot_assets.domain.gaps import clip_gaps, merge_gaps
from cryptobot_assets.domain.instants import latest
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.pool_value import holding_one
from cryptobot_assets.domain.portfolio import Result
from cryptobot_assets.domain.promotion import Candidate, Verdict, judge_best
from cryptobot_assets.domain.risk import BeyondRisk
from cryptobot_assets.domain.significance import SIZE, Superiority
from cryptobot_assets.domain.trial_days import Overfitting, as_json
from cryptobot_assets.leaderboard import Evidence, costs_of
from cryptobot_assets.overfitting import overfitting_of
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.gap_records import read_gaps
from cryptobot_assets.storage.holdout_log import openings_in_words
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.store import INDICATORS, KLINES, Store

BITCOIN = "BTCUSDT"


def report_of(
    evidence: Evidence, registry: Registry, settings: Settings, *, tried: Mapping[str, Overfitting] | None = None
) -> dict[str, Any]:
    """The `models`, `control` and `champion` parts, and the words that go with them.

    Args:
        tried: see `overfitting_of`; found here where it was not yet.
    """
    evaluations, rules = list(evidence.evaluations), evidence.rules
    registered = registry.versions(evidence.market)
    versions = {(one.algorithm, one.version): one for one in registered}
    coverages = coverages_of(evidence, registered, settings)
    champion = registry.champion(evidence.market)
    tried = overfitting_of(registry, settings, evidence.market, evaluations) if tried is None else tried
    return {
        "models": [
            _model(
                one,
                rules.get(one.algorithm, ()),
                coverages.get(one.algorithm),
                versions,
                settings,
                tried.get(one.algorithm),
                evidence.risks.get(one.algorithm),
            )
            for one in evaluations
        ],
        "control": _control(evaluations, settings),
        "skill": _skill(evaluations, settings),
        "champion": champion_part(champion) if champion else None,
        "words": [
            *(verdict_in_words(evaluations) if evaluations else ["No out-of-sample row in this range yet."]),
            *_risk_in_words(evaluations, evidence.risks),
            *_tried_in_words(tried),
            *([openings_in_words(registry, settings.holdout_from)] if settings.holdout_from else []),
        ],
    }


def _model(
    evaluation: Evaluation,
    rules: Sequence[Result],
    coverage: Coverage | None,
    versions: dict[tuple[str, str], RegisteredVersion],
    settings: Settings,
    tried: Overfitting | None,
    risk: BeyondRisk | None,
) -> dict[str, Any]:
    held = versions.get((evaluation.algorithm, evaluation.version))
    tags = held.tags if held else {}
    row = report_row(
        evaluation,
        costs_of(settings),
        trials=int(tags.get("trials", settings.trials)),
        folds=int(tags.get("folds", settings.folds)),
        rules=rules,
        coverage=coverage,
        risk=risk,
    )
    return {**row, "overfitting": as_json(tried)} if tried else row


def coverages_of(
    evidence: Evidence, versions: Iterable[RegisteredVersion], settings: Settings
) -> dict[str, Coverage | None]:
    """By algorithm, how many outcomes fell inside the intervals that its versions give."""
    bounds: dict[str, dict[str, Bounds]] = {}
    for one in versions:
        if one.interval_bounds is not None:
            bounds.setdefault(one.algorithm, {})[one.version] = one.interval_bounds
    return {
        name: interval_coverage(
            rows.drop_nulls("realised_return"), bounds.get(name, {}), settings.interval, seed=settings.seed
        )
        for name, rows in evidence.predictions.items()
    }


def _control(evaluations: list[Evaluation], settings: Settings) -> dict[str, Any]:
    """Holding the whole universe, and holding BTC alone where it is of it."""
    held = next(((one.hours, one.control) for one in evaluations if one.control and one.hours), None)
    if held is None:
        return {"gross": None, "net": None}
    bitcoin = holding_one(held[0], BITCOIN, costs_of(settings))
    figures: dict[str, Any] = finite(
        {
            "gross": held[1].gross,
            "net": held[1].net,
            **({"btc": {"gross": bitcoin.gross, "net": bitcoin.net}} if bitcoin else {}),
        }
    )
    return figures


def _skill(evaluations: list[Evaluation], settings: Settings) -> dict[str, Any]:
    """Whether any algorithm has skill, all of them counted."""
    found = skill_of(evaluations, seed=settings.seed)
    return {"hours": found.hours, "p_value": found.p_value, "superior": list(found.superior)}


def judge_evaluations(
    evaluations: Sequence[Evaluation],
    reigning: RegisteredVersion | None,
    *,
    skill: Superiority,
    algorithm: str | None = None,
    tried: Mapping[str, Overfitting] = MappingProxyType({}),
) -> tuple[Candidate, Verdict]:
    """The best candidate of a market, or the named one, and the gate's verdict on it beside the reigning champion.

    Args:
        tried: by algorithm, what the number of tuning trials leaves of its record; quoted, not judged.
    """
    return judge_best(
        [one.candidate for one in evaluations],
        algorithm=algorithm,
        reigning=reigning.algorithm if reigning and reigning.verdict == "passed" else None,
        skill=skill,
        control_net=next((one.control.net for one in evaluations if one.control), None),
        context={name: [found.told(name)] for name, found in tried.items()},
    )


def verdict_on(
    version: RegisteredVersion,
    evaluations: Sequence[Evaluation],
    reigning: RegisteredVersion | None,
    *,
    skill: Superiority,
    tried: Mapping[str, Overfitting] = MappingProxyType({}),
) -> Verdict:
    """What the gate says of one version; not passed where it is not the newest that scored rows."""
    name = f"{version.algorithm} version {version.source_version}"
    if not any((one.algorithm, one.version) == (version.algorithm, version.source_version) for one in evaluations):
        return Verdict(False, (f"the gate has not judged {name}: it is not the newest version that scored rows",))
    return judge_evaluations(evaluations, reigning, skill=skill, algorithm=version.algorithm, tried=tried)[1]


def _risk_in_words(evaluations: Sequence[Evaluation], risks: Mapping[str, BeyondRisk]) -> list[str]:
    """How much of the best IC is more than preferring calm currencies."""
    known = {one.algorithm: one.score.ic for one in evaluations if one.algorithm in risks and one.score.ic is not None}
    if not known:
        return []
    best = max(known, key=lambda name: known[name])
    risk = risks[best]
    interval = f" ({risk.ic_ci[0]:.3f} to {risk.ic_ci[1]:.3f})" if risk.ic_ci else ""
    return [
        f"Of the IC of {best}, {known[best]:.3f}, {risk.ic:.3f}{interval} is left beyond low volatility "
        f"and low beta, whose own are {risk.low_volatility:.3f} and {risk.low_beta:.3f}."
    ]


def _tried_in_words(tried: Mapping[str, Overfitting]) -> list[str]:
    """How many trials there were, and whose skill is more than the luckiest of them would show."""
    if not tried:
        return []
    one = next(iter(tried.values()))
    clear = [name for name, found in tried.items() if found.deflated_sharpe > 1 - SIZE]
    said = f"is clearly above that for {', '.join(clear)}" if clear else "is clearly above that for no model"
    chance = "" if one.pbo is None else f" Choosing among them overfits with probability {one.pbo:.2f}."
    return [
        f"The luckiest of {one.trials:,} tuning trials without skill would show a Sharpe ratio of daily skill of "
        f"{one.lucky_sharpe:.2f}; out of sample it {said} (deflated Sharpe ratio).{chance}"
    ]


def champion_part(champion: RegisteredVersion) -> dict[str, Any]:
    """The `champion` part: the algorithm's version that serves, and its verdict."""
    return {
        "market": champion.market,
        "algorithm": champion.algorithm,
        "version": champion.source_version,
        "registered": {"name": champion.name, "version": champion.version},
        "verdict": {"promote": champion.verdict == "passed", "reasons": champion.reasons},
        **({"override": asdict(champion.override)} if champion.override else {}),
    }


def data_report(store: Store, settings: Settings, *, start: datetime, end: datetime) -> dict[str, Any]:
    """The `klines` and `indicators` parts over [start, end), of the currencies the settings name.

    `expected` counts the grid from each currency's first kline in the range to the newest kline of all,
    without what followed the end of one that is known to have been delisted.
    """
    names = ", ".join(f"'{name}'" for name in settings.currencies)
    within = f"WHERE currency IN ({names}) AND time >= '{start.isoformat()}' AND time < '{end.isoformat()}'"
    stored = store.query(
        "SELECT currency, count(*) AS rows, min(time) AS first, max(time) AS last "
        f"FROM {KLINES.name} {within} GROUP BY 1"
    )
    rows = int(stored["rows"].sum())
    recorded = read_gaps(store, start, end, settings.interval, currency=settings.currencies)
    delisted = pl.col("kind").eq_missing(Kind.DELISTED.text)
    expected = 0
    if rows:
        step = interval_delta(settings.interval)
        until = latest(stored["last"]) + step
        over = recorded.filter(delisted).join(stored, on="currency").filter(pl.col("time") > pl.col("first"))
        expected = sum(round((until - first) / step) for first in stored["first"])
        expected -= int(clip_gaps(over, None, until, settings.interval)["missing"].sum())
    gaps = merge_gaps(recorded.filter(~delisted, pl.col("kind").ne_missing(Kind.NOT_LISTED.text)))
    indicated = store.query(f"SELECT count(*) AS rows FROM {INDICATORS.name} {within}")
    return {
        "klines": {"rows": rows, "expected": expected, "missing": expected - rows, "gaps": _gap_rows(gaps)},
        "indicators": {"rows": int(indicated["rows"][0])},
    }


def _gap_rows(gaps: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {"currency": gap["currency"], "from": gap["time"].isoformat(), "to": gap["end"].isoformat()}
        for gap in gaps.iter_rows(named=True)
    ]

"""A model card for people, in Markdown: what a version predicts, from what, how well, and where it ends.

`models/card.py` is the card that programs read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LIMITS = (
    "It predicts a mean over 24 h; single outcomes scatter far more widely than its predictions do.",
    "It was trained on spot klines of one exchange and knows nothing of news, order books or other venues.",
    "Neighbouring rows share most of their 24 h, so rows are worth far fewer independent samples than they number.",
    "Costs are a fixed fee and slippage a side; the price a large order would move is not modelled.",
    "What worked before its cutoff need not work after it: read the figures after the cutoff, not those before.",
)
SIMULATED = "It was trained on a simulated market with a planted effect: its figures say nothing about a real one."

KNOWN_METRICS = {"cv_mse", "cv_mse_zero", "training_rows"}
KNOWN_FIGURES = {"trials", "folds", "rows", "mse", "mse_zero", "ic", "ic_ci", "classification", "pool_value"}
"""Of a model's entry in the report; whatever else it holds is told as it is."""

NOT_EVALUATED = "Not evaluated yet: no row after its cutoff has a known outcome."


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was logged about one training: params, metrics and tags of its run, and the values tuning chose."""

    market: str
    algorithm: str
    cutoff: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    tuned: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How it did out of sample.

    Attributes:
        figures: its algorithm's entry of the report's `models`.
        control: the report's `control`.
        promote: what the gate said; None when another candidate was judged instead.
        reasons: whole sentences.
    """

    figures: Mapping[str, Any]
    control: Mapping[str, Any]
    promote: bool | None
    reasons: Sequence[str] = field(default_factory=tuple)


def model_card(facts: Facts, judged: Judged | None = None) -> str:
    """The card as Markdown; text from outside is escaped."""
    tuned = [f"- {plain(name)}: {plain(value)}" for name, value in facts.tuned.items()]
    features = [f"`{name}`" for name in _features(facts.params)]
    limits = (*LIMITS, SIMULATED) if "simulated" in facts.tags.get("market_source", "") else LIMITS
    parts = {
        "Verdict": _verdict(judged),
        "Figures": [
            "| figure | model | beside it |",
            "|---|---|---|",
            *(f"| {name} | {value} | {beside} |" for name, value, beside in _figures(facts, judged)),
        ],
        "Data": _data(facts),
        "Known limits": [f"- {limit}" for limit in limits],
        "Tuned values": tuned or ["not recorded"],
        "Features": [", ".join(features) or "unknown"],
    }
    title = f"# {plain(facts.algorithm)} for {plain(facts.market)}, as of {plain(facts.cutoff[:10])}"
    told = [line for name, lines in parts.items() for line in _part(name, lines)]
    return "\n".join([title, "", _purpose(facts), *told, ""])


def _part(name: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {name}", "", *lines]


def _purpose(facts: Facts) -> str:
    definition = facts.params.get("prediction_definition", "the 24 h return")
    return f"**Predicts**, for a currency at a kline of {_known(facts.params, 'interval')}: {plain(definition)}."


def _data(facts: Facts) -> list[str]:
    """What it was trained on, by what."""
    params, tags = facts.params, facts.tags
    rows, lacking, tuning = (
        _known(params, name) for name in ("training_rows", "rows_lacking_a_feature", "tuning_rows")
    )
    folds, trials, seed = (_known(params, name) for name in ("folds", "trials", "seed"))
    return [
        f"- trained on {rows} rows from {_known(params, 'start_time')} to {_known(params, 'end_time')}; {lacking} rows "
        "lacked a feature and were left out",
        f"- tuned on {tuning} rows in {folds} walk-forward folds, {trials} trials, seed {seed}",
        f"- {_known(tags, 'market_source')}; store version {_known(tags, 'store_version')}",
        f"- code {_known(tags, 'git_commit')}, Dagster run {_known(tags, 'dagster_run_id')}",
    ]


def _known(held: Mapping[str, Any], name: str) -> str:
    return plain(held.get(name, "unknown"))


def abridged(card: str, most: int) -> str:
    """The card in at most so many characters, cut between lines; what is left out is told."""
    if len(card) <= most:
        return card
    told = "\n\n(The rest is in its run.)\n"
    return card[: card.rindex("\n", 0, most - len(told))] + told


def _verdict(judged: Judged | None) -> list[str]:
    if judged is None:
        return [f"**Unproven.** {NOT_EVALUATED}"]
    words = {
        True: "**Passed** the promotion gate.",
        False: "**Unproven**: it did not pass the promotion gate.",
        None: "**Unproven**: another candidate of its market comes before it.",
    }
    told = words[judged.promote]
    return [told, "", *(f"- {plain(reason)}" for reason in judged.reasons)] if judged.reasons else [told]


def _figures(facts: Facts, judged: Judged | None) -> Iterator[tuple[str, str, str]]:
    """Name, figure, and what it is to be held against."""
    metrics = facts.metrics
    yield "out-of-fold squared error", _number(metrics.get("cv_mse")), f"zero: {_number(metrics.get('cv_mse_zero'))}"
    if judged is not None:
        yield from _out_of_sample(judged)
    extra = {
        name: value for name, value in metrics.items() if name not in KNOWN_METRICS and not name.startswith("oos_")
    }
    known = set() if judged is None else {"market", "algorithm", "version", "cutoff", *KNOWN_FIGURES}
    further = {} if judged is None else {name: value for name, value in judged.figures.items() if name not in known}
    for path, value in flat({**extra, **further}):
        yield plain(path), plain(value), ""


def _out_of_sample(judged: Judged) -> Iterator[tuple[str, str, str]]:
    one, control = judged.figures, judged.control
    classes, pool = one["classification"], one["pool_value"]
    yield "out-of-sample squared error", _number(one["mse"]), f"zero: {_number(one['mse_zero'])}"
    yield "IC (90 %)", _with(one["ic"], one["ic_ci"]), "0 without skill"
    yield "precision up", _number(classes["1"]["precision"]), f"base rate: {_number(classes['base_rate'])}"
    yield "independent samples", _number(round(classes["effective_n"])), f"of {one['rows']:,} rows"
    btc = control.get("btc") or {}
    beside = f"holding all: {_number(control.get('net'))}" + (f", BTC: {_number(btc['net'])}" if btc else "")
    costs = f"{pool['fee_bps']:g} + {pool['slippage_bps']:g} bps a side"
    yield f"value of 24 sleeves, net of {costs} (90 %)", _with(pool["net"], pool["net_ci"]), beside


def flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Whatever a report holds, a path and a text each.

    >>> flat({"coverage": {"rate": 0.9, "range": [0.85, 0.95]}})
    [('coverage / rate', '0.9'), ('coverage / range', '0.85 to 0.95')]
    """
    if isinstance(value, Mapping):
        return [line for key, one in value.items() for line in flat(one, f"{path} / {key}" if path else str(key))]
    words = path.replace("_", " ")
    if isinstance(value, list | tuple):
        joint = " to " if len(value) == 2 and all(isinstance(one, float) for one in value) else ", "
        known = [_told(one) for one in value if one is not None]
        return [(words, joint.join(known) or "none")]
    return [(words, _told(value))]


def _told(value: Any) -> str:
    return _number(value) if value is None or isinstance(value, float) else str(value)


def _features(params: Mapping[str, Any]) -> list[str]:
    """Names of the features, which a param may hold as a list, as JSON or separated by commas."""
    held = params.get("features", "")
    if isinstance(held, str):
        held = json.loads(held) if held.startswith("[") else held.split(",")
    return [str(name).replace("`", "") for name in held if name]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _with(value: float | None, bounds: Sequence[float | None]) -> str:
    low, high = bounds
    inside = "" if low is None or high is None else f" ({_number(low)} to {_number(high)})"
    return _number(value) + inside


def plain(text: object) -> str:
    """Text that Markdown shows as it is.

    >>> plain("a|b <i>")
    'a\\\\|b \\\\<i\\\\>'
    """
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(str(text).split()))

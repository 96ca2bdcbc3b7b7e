"""What the page needs beyond the report itself: the versions that scored rows, and how they were made."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.trial_days import Overfitting
from cryptobot_assets.leaderboard import Evidence
from cryptobot_assets.report import data_report, report_of
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import STORE_VERSION, TUNED, RegisteredVersion
from cryptobot_assets.storage.registry_runs import WORTH_TABLE, read_run, read_tables
from cryptobot_assets.storage.store import Store

MOST_VERSIONS = 4
"""Newest versions of an algorithm whose making is read; each takes a look into the registry's files."""


@dataclass(frozen=True)
class Making:
    """How one version was made.

    Attributes:
        trials: tuning value of each trial, None where it failed.
        zero: error of predicting zero on the tuning folds, None where it was not logged.
        importance: share of each feature.
        tuned: values that tuning chose.
        worths: what each group of features adds out of sample; empty where it was not measured.
    """

    version: str
    cutoff: str
    trials: tuple[float | None, ...]
    zero: float | None
    importance: Mapping[str, float]
    tuned: Mapping[str, Any]
    worths: Sequence[Mapping[str, Any]]
    params: Mapping[str, str]
    git_commit: str
    store_version: str


def read_makings(registry: Registry, evidence: Evidence) -> dict[str, list[Making]]:
    """By algorithm, the versions that scored its rows, oldest first; the newest few of them."""
    held = {(one.algorithm, one.version): one for one in registry.versions(evidence.market)}
    made: dict[str, list[Making]] = {}
    for algorithm, rows in evidence.predictions.items():
        used = rows.group_by("version").agg(pl.col("cutoff").max()).sort("cutoff").tail(MOST_VERSIONS)["version"]
        known = [held[algorithm, version] for version in used if (algorithm, version) in held]
        made[algorithm] = [_making(registry, version) for version in known]
    return made


def _making(registry: Registry, version: RegisteredVersion) -> Making:
    run, tables = read_run(registry, version), read_tables(registry, version)
    return Making(
        version=version.version,
        cutoff=f"{version.cutoff:%Y-%m-%d}",
        trials=_trials(tables.get("trials.csv")),
        zero=run.metrics.get("cv_mse_zero"),
        importance=json.loads(tables.get("importance.json", b"{}")),
        tuned=json.loads(run.tags.get(TUNED, "{}")),
        worths=json.loads(tables.get(WORTH_TABLE, b"[]")),
        params=run.params,
        git_commit=run.tags.get("git_commit", "unknown"),
        store_version=run.tags.get(STORE_VERSION, "unknown"),
    )


def _trials(table: bytes | None) -> tuple[float | None, ...]:
    rows = pl.read_csv(io.BytesIO(table)) if table and table.strip() else pl.DataFrame()
    return tuple(rows["mse"].cast(pl.Float64)) if "mse" in rows.columns else ()


def whole_report(
    store: Store,
    registry: Registry,
    settings: Settings,
    evidence: Evidence,
    source: str,
    *,
    tried: Mapping[str, Overfitting] | None = None,
) -> dict[str, Any]:
    """The report of the evidence with the data it rests on: what the page shows, and holds as JSON."""
    currencies = currencies_of(tuple(evidence.predictions.values()))
    start = min(one.start for one in evidence.evaluations)
    end = max(one.end for one in evidence.evaluations) + interval_delta(settings.interval)
    only = settings.model_copy(update={"currencies": currencies})
    return {
        "market": evidence.market,
        "interval": settings.interval,
        "currencies": list(currencies),
        "days": {"from": start.date().isoformat(), "to": end.date().isoformat()},
        "source": source,
        **data_report(store, only, start=start, end=end),
        **report_of(evidence, registry, settings, tried=tried),
    }


def currencies_of(predictions: Sequence[pl.DataFrame]) -> tuple[str, ...]:
    """Every currency that was predicted, in order."""
    return tuple(sorted({name for rows in predictions for name in rows["currency"].unique()}))

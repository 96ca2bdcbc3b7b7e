"""From a served prediction back to the klines it came from, each step as what is recorded of it.

::

    prediction <- model version <- trial <- training set (store version) <- indicators <- klines <- exchange
                  (code commit)             its own features' row <- indicators <- klines
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from cryptobot_assets.assets.training_record import ASKED_BECAUSE, ASKED_BY
from cryptobot_assets.assets.training_rows import TRAINING_SET
from cryptobot_assets.domain.features import lookback
from cryptobot_assets.domain.indicators import LOOKBACK
from cryptobot_assets.domain.instants import earliest, latest
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.served import NO_CURRENCY
from cryptobot_assets.errors import UsageError
from cryptobot_assets.partitions import Partitions, model_key
from cryptobot_assets.plugged import FEATURES
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import CURRENCIES, DIGEST, STORE_VERSION, TUNED, RegisteredVersion
from cryptobot_assets.storage.registry_runs import RunRecord, read_run
from cryptobot_assets.storage.samples import source_table
from cryptobot_assets.storage.store import KLINES, Store

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Step:
    """One step back: what it is, and what is recorded of it in the order it should be read."""

    what: str
    facts: Mapping[str, Any]


def trace(
    rows: pl.DataFrame,
    *,
    registry: Registry,
    store: Store,
    instance: dg.DagsterInstance,
    partitions: Partitions,
    currency: str | None = None,
) -> list[Step]:
    """Every step back from a reply.

    Args:
        rows: the reply's rows of `served_predictions`, of every role.
        currency: which of its rows, where it has several; default the first.

    Raises:
        UsageError: the reply has no row of this currency.
    """
    answer = _answer(rows, currency)
    version = registry.version(answer["registered_name"], answer["version"])
    trained = _trained_version(registry, version)
    run = read_run(registry, trained)
    features = tuple(run.params["features"].split(","))
    return [
        _prediction(rows, answer),
        _model(version, trained, run),
        _trial(registry, trained, run),
        _training_set(trained, run, instance),
        *_market_data(answer, features, store, instance, partitions),
    ]


def _answer(rows: pl.DataFrame, currency: str | None) -> dict[str, Any]:
    """The row that answered: not one that was scored beside it."""
    given = rows.filter(pl.col("role") != "shadow").sort("position")
    chosen = given if currency is None else given.filter(pl.col("currency") == currency)
    if chosen.is_empty():
        names = ", ".join(given["currency"].head(10)) or "none"
        raise UsageError(f"the reply has no prediction of {currency}: it has {names}")
    return chosen.row(0, named=True)


def _trained_version(registry: Registry, version: RegisteredVersion) -> RegisteredVersion:
    """The algorithm's version behind a promoted copy; itself where it is one."""
    if version.name == version.source_name:
        return version
    return registry.version(version.source_name, version.source_version)


def _prediction(rows: pl.DataFrame, answer: Mapping[str, Any]) -> Step:
    shadows = rows.filter(pl.col("role") == "shadow")
    beside = [f"{one['algorithm']} {one['version']}" for one in shadows.unique(["algorithm", "version"]).to_dicts()]
    low, high = answer["interval_low"], answer["interval_high"]
    return Step(
        "prediction",
        {
            "id": answer["prediction_id"],
            "served at": _instant(answer["served_at"]),
            "route": answer["route"],
            "answered as": answer["role"],
            "currency": answer["currency"] or "features that the caller sent",
            "row": _instant(answer["time"]),
            "known at": _instant(answer["known_at"]),
            "predicted 24 h return": answer["predicted_return"],
            "interval, 90 %": None if low is None else [low, high],
            "verdict": answer["verdict"],
            "rows in the reply": int(rows.filter(pl.col("role") != "shadow")["rows"].sum()),
            "scored beside it": ", ".join(beside) or "nothing",
        },
    )


def _model(version: RegisteredVersion, trained: RegisteredVersion, run: RunRecord) -> Step:
    return Step(
        "model version",
        {
            "registered": version.uri,
            "copy of": trained.uri if trained.uri != version.uri else None,
            "algorithm": trained.algorithm,
            "market": trained.market,
            "cutoff": _instant(trained.cutoff),
            "trained": _instant(trained.created),
            "features": len(run.params["features"].split(",")),
            "code commit": run.tags.get("git_commit", NOT_RECORDED),
            "MLflow run": trained.run_id,
            "Dagster run": run.tags.get("dagster_run_id", NOT_RECORDED),
            "asked for by": run.tags.get(ASKED_BY, NOT_RECORDED),
            "because": run.tags.get(ASKED_BECAUSE),
            "asset": f"{run.tags.get('asset_key', NOT_RECORDED)} {run.tags.get('partition', '')}".strip(),
        },
    )


def _trial(registry: Registry, trained: RegisteredVersion, run: RunRecord) -> Step:
    table = registry.read_table(trained, "trials.csv")
    trials = pl.read_csv(io.BytesIO(table)) if table and table.strip() else pl.DataFrame()
    finished = trials.filter(pl.col("mse").is_not_null()) if "mse" in trials.columns else trials
    best = finished.sort("mse").row(0, named=True) if finished.height else {}
    return Step(
        "trial",
        {
            "number": best.get("number", NOT_RECORDED),
            "of": trials.height,
            "mean squared error over folds": best.get("mse"),
            "values": json.loads(run.tags.get(TUNED, "{}")),
        },
    )


def _training_set(trained: RegisteredVersion, run: RunRecord, instance: dg.DagsterInstance) -> Step:
    key = model_key(trained.market, trained.cutoff)
    return Step(
        "training set",
        {
            "store version": run.tags.get(STORE_VERSION, NOT_RECORDED),
            "rows": run.params.get("training_rows", NOT_RECORDED),
            "first row": run.params.get("start_time", NOT_RECORDED),
            "last row": run.params.get("end_time", NOT_RECORDED),
            "currencies": len(run.tags[CURRENCIES].split(",")) if CURRENCIES in run.tags else NOT_RECORDED,
            "digest": run.tags.get(DIGEST, NOT_RECORDED),
            "asset": f"{TRAINING_SET} {key}",
            **_recorded(instance, TRAINING_SET, [key], trained.created),
        },
    )


def _market_data(
    answer: Mapping[str, Any],
    features: Sequence[str],
    store: Store,
    instance: dg.DagsterInstance,
    partitions: Partitions,
) -> list[Step]:
    """The row's indicators and the klines they were made of; none where the caller sent the features."""
    if answer["currency"] == NO_CURRENCY or answer["time"] is None:
        return []
    currency, row = answer["currency"], answer["time"]
    group = next((one for one in partitions.groups if currency in one.currencies), None)
    if group is None:
        raise UsageError(f"{currency} is not of this home's universe any more: set CRYPTOBOT_CURRENCIES as it was then")
    reach = max(lookback(features, FEATURES), LOOKBACK)
    steps = []
    for layer, start in (("indicators", row), ("klines", row - reach)):
        spans = partitions.span_keys(start.date(), row.date())
        keys = [f"{currency}|{key}" for key in spans]
        facts = {
            "asset": group.asset(layer),
            "partitions": keys[0] if len(keys) == 1 else f"{len(keys)}, {keys[0]} to {keys[-1]}",
            **_recorded(instance, group.asset(layer), keys, answer["served_at"]),
        }
        if layer == "klines":
            facts |= _stored(store, currency, start, row + interval_delta(partitions.settings.interval))
        steps.append(Step(layer, facts))
    if source_table(tuple(features)) is KLINES:
        steps[0] = Step(
            "indicators", {"asset": "none: its features are made of all currencies' klines as they are read"}
        )
    return steps


def _recorded(instance: dg.DagsterInstance, asset: str, keys: Sequence[str], until: datetime) -> dict[str, Any]:
    """Which Dagster runs materialized the partitions, as of an instant."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(asset),
            asset_partitions=list(keys),
            before_timestamp=(until + timedelta(seconds=1)).timestamp(),
        ),
        limit=len(keys) * 20,
    ).records
    newest = {record.partition_key: record for record in reversed(found)}
    runs = list(dict.fromkeys(record.run_id for record in newest.values()))
    last = max((record.timestamp for record in newest.values()), default=None)
    return {
        "Dagster runs": ", ".join(runs) or NOT_RECORDED,
        "materialized": NOT_RECORDED if last is None else _instant(datetime.fromtimestamp(last, tz=until.tzinfo)),
        **({"partitions not recorded": len(keys) - len(newest)} if len(newest) < len(keys) else {}),
    }


def _stored(store: Store, currency: str, start: datetime, end: datetime) -> dict[str, Any]:
    rows = store.read(KLINES, start=start, end=end, columns=["time", "source"], currency=currency)
    sources = rows.group_by("source").len().sort("source")
    return {
        "rows": rows.height,
        "first and last": None if rows.is_empty() else [_instant(one(rows["time"])) for one in (earliest, latest)],
        "sources": {one["source"]: one["len"] for one in sources.to_dicts()},
    }


def _instant(value: datetime | None) -> str | None:
    return None if value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"

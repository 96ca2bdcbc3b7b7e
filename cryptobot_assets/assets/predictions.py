"""Predictions: rows no model was trained on, scored by the version that was in force."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from cryptobot_assets.assets.listings import listing_deps
from cryptobot_assets.assets.partition_report import ROWS, PartitionReport
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.models.loading import Scorer, load_scorer
from cryptobot_assets.partitions import POOLED_MARKET, Group, Partitions
from cryptobot_assets.pools import STORE
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.listings import left_out, pooled_currencies
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import PREDICTIONS, Store

BLOCK_DAYS = 60
GROUP = "evaluation"


def prediction_assets(partitions: Partitions, model_names: Sequence[str]) -> list[dg.AssetsDefinition]:
    """The `predictions` asset of each group of one deployment."""
    return [_predictions_asset(partitions, group, model_names) for group in partitions.groups]


def _predictions_asset(partitions: Partitions, group: Group, model_names: Sequence[str]) -> dg.AssetsDefinition:
    settings = partitions.settings

    @dg.asset(
        name=group.asset("predictions"),
        deps=[
            dg.AssetDep(group.asset("indicators")),
            *(dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) for name in model_names),
            *listing_deps(partitions),
        ],
        partitions_def=partitions.market_data(group),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=STORE,
        group_name=GROUP,
        kinds={"python", "deltalake"},
        owners=["team:research"],
        code_version="1",
        description=(
            "Predicted 24 h return of every complete row, by the newest version of each algorithm whose cutoff is "
            "at or before the row: out of sample by construction. The realised return is null until known."
        ),
    )
    def predictions(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[Store],
        registry: dg.ResourceParam[Registry],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        report = PartitionReport(partitions, (ROWS,))
        lineups: dict[str, Lineup] = {}
        universe = pooled_currencies(settings, store)
        reader = SampleReader(store, settings.interval, universe, outcomes_until=settings.holdout_start)
        held_by_no_pool = left_out(settings, store)
        for span in partitions.spans_of(context.partition_keys):
            if span.currency in held_by_no_pool:
                continue
            for market in (one for one in (POOLED_MARKET, span.currency) if one in partitions.markets):
                if market not in lineups:
                    lineups[market] = read_lineup(registry, market, settings.home / "model-cache")
                for block in partitions.blocks(span, BLOCK_DAYS):
                    times = predict_block(lineups[market], market, block, reader, store)
                    report.count(ROWS, block.currency, times)
            progress.advance("predictions", steps=1, note=span.currency)
        report.attach(context)
        return dg.MaterializeResult(metadata={"markets_with_models": _used(lineups)})

    return predictions


Lineup = dict[str, list[tuple[RegisteredVersion, Scorer]]]
"""By algorithm: one version a cutoff, the newest registered, in order of cutoff."""


def read_lineup(registry: Registry, market: str, cache: Path) -> Lineup:
    """Every version that scores rows of a market, loaded."""
    lineup: dict[str, dict[datetime, RegisteredVersion]] = {}
    for version in registry.versions(market):
        by_cutoff = lineup.setdefault(version.algorithm, {})
        held = by_cutoff.get(version.cutoff)
        if held is None or int(version.version) > int(held.version):
            by_cutoff[version.cutoff] = version
    return {
        algorithm: [
            (version, load_scorer(registry.download(version, cache / version.name / version.version)))
            for _, version in sorted(by_cutoff.items())
        ]
        for algorithm, by_cutoff in sorted(lineup.items())
    }


def predict_block(lineup: Lineup, market: str, block: Span, reader: SampleReader, store: Store) -> pl.Series:
    """Score one block with a market's versions and store the predictions; returns the times of the rows stored."""
    cutoffs = [version.cutoff for line in lineup.values() for version, _ in line]
    if not cutoffs or min(cutoffs) >= block.end:
        return pl.Series("time", [], PREDICTIONS.schema["time"])
    start = max(block.start, min(cutoffs))
    parts = []
    for features in {scorer.features for line in lineup.values() for _, scorer in line}:
        samples = reader.read(features, (block.currency,), start, block.end)
        for line in lineup.values():
            for index, (version, scorer) in enumerate(line):
                if scorer.features != features:
                    continue
                until = line[index + 1][0].cutoff if index + 1 < len(line) else block.end
                own = (samples.time >= _naive(version.cutoff)) & (samples.time < _naive(until))
                parts.append(_scored(samples.take(own), version, scorer))
    rows = pl.concat([part for part in parts if part.height] or [pl.DataFrame(schema=PREDICTIONS.schema)])
    store.replace(PREDICTIONS, rows, start=start, end=block.end, market=market, currency=block.currency)
    return rows["time"]


def _scored(samples: Samples, version: RegisteredVersion, scorer: Scorer) -> pl.DataFrame:
    rows = pl.DataFrame(
        {
            "currency": samples.currency.astype(str),
            "time": samples.time,
            "predicted_return": scorer.predict(samples.X) if len(samples) else np.empty(0),
            "realised_return": samples.y,
        }
    )
    return rows.select(
        market=pl.lit(version.market),
        algorithm=pl.lit(version.algorithm),
        version=pl.lit(version.version),
        currency=pl.col("currency"),
        time=pl.col("time").dt.replace_time_zone("UTC"),
        predicted_return=pl.col("predicted_return"),
        realised_return=pl.col("realised_return").fill_nan(None),
        cutoff=pl.lit(version.cutoff).cast(PREDICTIONS.schema["cutoff"]),
    )


def _naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _used(lineups: dict[str, Lineup]) -> str:
    return ", ".join(market for market, lineup in lineups.items() if lineup) or "none"

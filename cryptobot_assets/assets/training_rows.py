"""The rows every algorithm learns from, as an asset of their own: what was known as of a cutoff, told once."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import dagster as dg

from cryptobot_assets.assets.listings import listing_deps
from cryptobot_assets.assets.training_set import TrainingSet, TrainingSets
from cryptobot_assets.domain.intervals import day_start, parse_day
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.models.algorithms import features_of, is_trainable, usable_algorithms
from cryptobot_assets.partitions import POOLED_MARKET, Partitions
from cryptobot_assets.storage.listings import pooled_currencies
from cryptobot_assets.storage.samples import source_table
from cryptobot_assets.storage.store import Store

GROUP = "training"
TRAINING_SET = "training_set"

FeatureSets = Mapping[tuple[str, ...], TrainingSets]


def training_set_asset(partitions: Partitions, sets: FeatureSets) -> dg.AssetsDefinition:
    """`training_set`, market x cutoff day, of the same sets the models read.

    Models depend on it instead of on market data directly: launching a backfill of market data Dagster
    lists, partition by partition, what depends on it, once for every asset that does.
    """
    settings = partitions.settings
    sources = sorted({source_table(features).name for features in sets})

    @dg.asset(
        name=TRAINING_SET,
        deps=[
            dg.AssetDep(group.asset(source), partition_mapping=partitions.training_window(group))
            for source in sources
            for group in partitions.groups
        ]
        + listing_deps(partitions),
        partitions_def=partitions.models,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
        group_name=GROUP,
        kinds={"python", "polars"},
        owners=["team:research"],
        code_version="1",
        description=(
            "Complete rows whose label was known at the cutoff day's first instant: how many, of which currencies, "
            "from which version of the store, and a digest that only the same rows have; one set for each choice of "
            "features in use. Every model of the cutoff learns from them and records the same version and digest."
        ),
    )
    def training_set(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult:
        keys = context.partition_key.keys_by_dimension
        market, cutoff = keys["market"], day_start(parse_day(keys["cutoff"]))
        currencies = pooled_currencies(settings, store, cutoff) if market == POOLED_MARKET else (market,)
        asked = settings.algorithms or usable_algorithms(len(currencies))
        wanted = dict.fromkeys(features_of(name) for name in asked if is_trainable(name, len(currencies)))
        made = read_sets([sets[features] for features in wanted], store, currencies, market, cutoff)
        digest = hashlib.sha256("".join(one.digest for one in made).encode()).hexdigest()
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest),
            metadata={
                "dagster/row_count": max((len(one.samples) for one in made), default=0),
                "currencies": len(currencies),
                "sets": dg.MetadataValue.md(set_table(made)),
            },
        )

    return training_set


def read_sets(
    sets: Sequence[TrainingSets], store: Store, currencies: Sequence[str], market: str, cutoff: datetime
) -> list[TrainingSet]:
    """Those of the sets that have enough rows.

    Raises:
        NotEnoughHistory: none has.
    """
    made, lacking = [], []
    for one in sets:
        try:
            made.append(one.read(store, currencies, market, cutoff))
        except NotEnoughHistory as error:
            lacking.append(error)
    if lacking and not made:
        raise lacking[0]
    return made


def set_table(made: Sequence[TrainingSet]) -> str:
    """What each set of features holds as a Markdown table."""
    lines = [
        "| read from | features | rows | lack a feature | first | last | digest |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in made:
        samples = one.samples
        lines.append(
            f"| {one.store_version} | {len(samples.features)} | {len(samples):,} | {one.dropped:,} "
            f"| {samples.time[0].astype('datetime64[m]')}Z | {samples.time[-1].astype('datetime64[m]')}Z "
            f"| {one.digest[:12]} |"
        )
    return "\n".join(lines)

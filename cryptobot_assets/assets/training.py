"""The tuned models, one asset each, from one factory."""

from collections.abc import Iterator

import dagster as dg

from cryptobot_assets.assets.fitting import registered, train
from cryptobot_assets.assets.members import members_start
from cryptobot_assets.assets.training_record import CODE_VERSION, asked, describe, git_commit
from cryptobot_assets.assets.training_rows import GROUP, TRAINING_SET, training_set_asset
from cryptobot_assets.assets.training_set import TrainingSets
from cryptobot_assets.assets.warm_start import warm_start
from cryptobot_assets.checks.training import TrainingChecks, kept_results, training_check_specs
from cryptobot_assets.domain.intervals import day_start, parse_day
from cryptobot_assets.errors import LeakFound
from cryptobot_assets.models.algorithms import ALGORITHMS, features_of, library_of, require_trainable
from cryptobot_assets.models.ensemble import members_of
from cryptobot_assets.partitions import POOLED_MARKET, Partitions
from cryptobot_assets.profile import market_source
from cryptobot_assets.progress import Progress
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import pooled_currencies
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import Store

TUNED_ALONE = (
    "tuned and fitted on what was known at the cutoff day's first instant, registered in MLflow. Tuning: seeded TPE, "
    "squared error over walk-forward folds purged by the 24 h horizon, all inside the training data; how rows are "
    "weighted and labels scaled and cut is tuned too. The search begins with the values of the newest version of an "
    "earlier cutoff."
)
ENSEMBLE = (
    "the mean of its members' predictions. Each is fitted as it was tuned as of the same cutoff, on what was known at "
    "the cutoff day's first instant; registered in MLflow with the members' versions. Its error is that of "
    "walk-forward folds purged by the 24 h horizon, on which every member was fitted anew."
)


def model_asset_name(algorithm: str) -> str:
    """Asset of one algorithm: `ridge_model`."""
    return f"{algorithm}_model"


def training_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The training set and one model asset an algorithm, market x cutoff day."""
    sets = {features: TrainingSets(partitions.settings, features) for features in map(features_of, ALGORITHMS)}
    models = [_model_asset(name, partitions, sets[features_of(name)]) for name in ALGORITHMS]
    return [training_set_asset(partitions, sets), *models]


def _model_asset(name: str, partitions: Partitions, sets: TrainingSets) -> dg.AssetsDefinition:
    settings = partitions.settings
    members = members_of(ALGORITHMS[name])
    begin = members_start if members else warm_start

    @dg.asset(
        name=model_asset_name(name),
        deps=[TRAINING_SET, *map(model_asset_name, members)],
        partitions_def=partitions.models,
        check_specs=training_check_specs(model_asset_name(name)),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
        group_name=GROUP,
        kinds={"python", library_of(name), "mlflow", "optuna"},
        owners=["team:research"],
        code_version=CODE_VERSION,
        description=f"{name} for one market, {ENSEMBLE if members else TUNED_ALONE}",
    )
    def model(
        context: dg.AssetExecutionContext,
        store: dg.ResourceParam[Store],
        registry: dg.ResourceParam[Registry],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        asset = model_asset_name(name)
        keys = context.partition_key.keys_by_dimension
        market, cutoff = keys["market"], day_start(parse_day(keys["cutoff"]))
        currencies = pooled_currencies(settings, store, cutoff) if market == POOLED_MARKET else (market,)
        require_trainable(name, currencies)
        training_set = sets.read(store, currencies, market, cutoff)
        start = begin(registry, market, name, cutoff, settings)
        training = describe(name, market, cutoff, training_set, settings, tags=_tags(context, settings), start=start)
        version = registry.find(market, name, cutoff, training.fingerprint)
        if version is not None:
            progress.advance("tune", steps=settings.trials, note=f"{name}, kept")
            yield dg.MaterializeResult(
                metadata={**registered(version, settings), "trained": "already, from the same rows"},
                check_results=kept_results(asset),
            )
            return
        checks = TrainingChecks(training_set.samples, settings.interval, cutoff)
        checks.look_ahead(sets.look_ahead(store, currencies, training_set))
        try:
            metadata = train(training, training_set, settings, registry, progress, checks)
        except LeakFound:
            yield from checks.results(asset)
            raise
        yield dg.MaterializeResult(metadata=metadata, check_results=checks.results(asset))

    return model


def _tags(context: dg.AssetExecutionContext, settings: Settings) -> dict[str, str]:
    return {
        "git_commit": git_commit(settings),
        "dagster_run_id": context.run.run_id,
        "asset_key": context.asset_key.to_user_string(),
        "partition": str(context.partition_key),
        **asked(context.run.tags),
        "market_source": market_source(settings.home, settings.exchange_url),
    }

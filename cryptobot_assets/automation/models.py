"""Models by the clock: evaluated and judged every day, trained anew every week."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from cryptobot_assets.assets.challenger import CHALLENGER
from cryptobot_assets.assets.training import model_asset_name
from cryptobot_assets.assets.training_rows import TRAINING_SET
from cryptobot_assets.automation.clock import market_now
from cryptobot_assets.automation.records import ASSET_JOB, CRASH_RETRIES, newest_records, schedule_status
from cryptobot_assets.domain.indicators import LOOKBACK
from cryptobot_assets.domain.intervals import DAY, day_start, parse_day
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.models.algorithms import ALGORITHMS, is_trainable, usable_algorithms
from cryptobot_assets.partitions import POOLED_MARKET, Partitions, model_key
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.listings import pooled_currencies
from cryptobot_assets.storage.store import INDICATORS, Store

EVALUATION = ("evaluation_report", "pool_value", "champion_model")
LEAST_HISTORY = LOOKBACK + 7 * DAY
"""Indicators need the first part of it; the rest is what a model can learn from at the very least."""


def model_schedules(partitions: Partitions) -> dg.Definitions:
    """Schedules of models."""
    return dg.Definitions(schedules=[_evaluation_schedule(partitions), _training_schedule(partitions)])


def _evaluation_schedule(partitions: Partitions) -> dg.ScheduleDefinition:
    settings = partitions.settings

    @dg.schedule(
        name="evaluation_schedule",
        job_name=ASSET_JOB,
        cron_schedule=settings.evaluation_cron,
        execution_timezone="UTC",
        default_status=schedule_status(settings),
        description="Every market with models is evaluated anew, and its champion judged, once there is more to tell.",
    )
    def evaluation(
        context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[Store]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time
        known = market_now(settings, store, tick) - HORIZON
        predicted = max(newest_place(context.instance, group.asset("predictions")) for group in partitions.groups)
        told = newest_records(context.instance, EVALUATION[-1])
        markets = [
            market
            for market, cutoffs in trained_markets(context.instance).items()
            if market in partitions.markets and day_start(min(cutoffs)) < known and told.get(market, -1) < predicted
        ]
        return [_request(EVALUATION, tick, market) for market in markets] or dg.SkipReason(
            "no market has predictions newer than its evaluation"
        )

    return evaluation


def _training_schedule(partitions: Partitions) -> dg.ScheduleDefinition:
    settings = partitions.settings

    @dg.schedule(
        name="training_schedule",
        job_name=ASSET_JOB,
        cron_schedule=settings.training_cron,
        execution_timezone="UTC",
        default_status=schedule_status(settings),
        description="Every market with models, and the pooled one, is trained anew as of the day's first instant.",
    )
    def training(
        context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[Store]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time
        cutoff = market_now(settings, store, tick).date()
        trained = trained_markets(context.instance)
        spans, pool = store.spans(INDICATORS), pooled_currencies(settings, store)
        asked = [
            _request(models_of(market, settings, pool), tick, model_key(market, cutoff))
            for market in partitions.markets
            if (market == POOLED_MARKET or market in trained)
            and cutoff not in trained.get(market, set())
            and can_train(spans, market, cutoff)
        ]
        return asked or dg.SkipReason(
            f"nothing to train as of {cutoff}: models of that day are there, or indicators do not reach from "
            f"{LEAST_HISTORY.days} days before it to the day before it"
        )

    return training


def models_of(market: str, settings: Settings, pool: Sequence[str]) -> list[str]:
    """Assets to train a market: its training set, of the algorithms asked for those it can train, its challenger."""
    currencies = len(pool) if market == POOLED_MARKET else 1
    asked = settings.algorithms or usable_algorithms(currencies)
    models = [model_asset_name(name) for name in asked if is_trainable(name, currencies)]
    return [TRAINING_SET, *models, CHALLENGER]


def _request(assets: Sequence[str], tick: datetime, key: str) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=ASSET_JOB,
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        run_key=f"{assets[-1]} {tick:%Y-%m-%dT%H:%M} {key}",
        partition_key=key,
        tags=CRASH_RETRIES,
    )


def newest_place(instance: dg.DagsterInstance, asset: str) -> int:
    """Where in the event log the newest materialization of an asset stands, -1 when there is none."""
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
    return records[0].storage_id if records else -1


def trained_markets(instance: dg.DagsterInstance) -> dict[str, set[date]]:
    """Cutoff days of the recorded models, by market."""
    found: dict[str, set[date]] = defaultdict(set)
    for name in ALGORITHMS:
        for key in instance.get_materialized_partitions(dg.AssetKey(model_asset_name(name))):
            cutoff, market = key.split("|")
            found[market].add(parse_day(cutoff))
    return dict(found)


def can_train(spans: dict[str, tuple[datetime, datetime]], market: str, cutoff: date) -> bool:
    """Whether indicators of a market reach from long enough before a cutoff to the day before it.

    Args:
        spans: first and newest indicator of every currency.
    """
    held = [span for currency, span in spans.items() if market in (POOLED_MARKET, currency)]
    start = day_start(cutoff)
    return any(first <= start - LEAST_HISTORY and newest >= start - timedelta(days=1) for first, newest in held)

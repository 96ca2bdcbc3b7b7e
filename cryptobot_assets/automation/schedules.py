"""Market data by the clock: klines, and the indicators that did not follow them by themselves."""

import dagster as dg

from cryptobot_assets.automation.clock import market_now
from cryptobot_assets.automation.due import Link, klines_due, out_of_reach, recent_keys
from cryptobot_assets.automation.freshness import trading
from cryptobot_assets.automation.records import (
    ASSET_JOB,
    keys_of,
    left_behind,
    newest_records,
    range_requests,
    schedule_status,
    stale_partitions,
)
from cryptobot_assets.domain.indicators import LONGEST_LOOKBACK
from cryptobot_assets.domain.universe import lives
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.listings import read_listings
from cryptobot_assets.storage.store import Store
from cryptobot_assets.wholeness import known_instants

INDICATORS_OF_KLINES = Link("klines", "indicators", days_before=LONGEST_LOOKBACK.days)


def market_data_schedules(partitions: Partitions) -> dg.Definitions:
    """Schedules of klines and indicators."""
    return dg.Definitions(schedules=[_ingestion_schedule(partitions), _indicators_schedule(partitions)])


def _ingestion_schedule(partitions: Partitions) -> dg.ScheduleDefinition:
    settings = partitions.settings

    @dg.schedule(
        name="ingestion_schedule",
        job_name=ASSET_JOB,
        cron_schedule=settings.ingestion_cron,
        execution_timezone="UTC",
        default_status=schedule_status(settings),
        description=(
            f"Klines of yesterday, of today and of whatever is missing of the last {settings.catch_up_days} days, "
            "so that the next tick heals what an outage or a machine switched off left out."
        ),
    )
    def ingestion(
        context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[Store]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        tick, instance = context.scheduled_execution_time, context.instance
        now = market_now(settings, store, tick)
        keys = recent_keys(partitions, now)
        for currency, newest in out_of_reach(trading(store, settings), partitions, now).items():
            told = (
                f"klines of {currency} end on {newest:%Y-%m-%d}, before the {settings.catch_up_days} days a tick looks "
                f"back: `cryptobot backfill --currencies {currency} --from {newest:%Y-%m-%d} --to {keys[0]}`"
            )
            context.log.warning(told)
        traded = lives(read_listings(store))
        asked = []
        for group in partitions.live(instance).groups:
            asset = group.asset("klines")
            recorded = set(newest_records(instance, asset, keys_of(group.currencies, keys)))
            recorded -= left_behind(instance, asset)
            known = known_instants(store, partitions, group.currencies, keys)
            due = klines_due(group.currencies, recorded, known, partitions, now, lives=traded)
            asked += range_requests(instance, partitions, group, asset, due, occasion=f"{tick:%Y-%m-%dT%H:%M}")
        return asked or dg.SkipReason(f"every kline finished by {now:%Y-%m-%d %H:%M} is recorded or being asked for")

    return ingestion


def _indicators_schedule(partitions: Partitions) -> dg.ScheduleDefinition:
    settings = partitions.settings

    @dg.schedule(
        name="indicators_schedule",
        job_name=ASSET_JOB,
        cron_schedule=settings.indicators_cron,
        execution_timezone="UTC",
        default_status=schedule_status(settings),
        description=(
            "Indicators follow their klines by themselves; this makes those that did not, because a run failed "
            f"or the machine was off, of the last {settings.catch_up_days} days."
        ),
    )
    def indicators(
        context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[Store]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        tick, instance = context.scheduled_execution_time, context.instance
        keys = recent_keys(partitions, market_now(settings, store, tick))
        asked = []
        for group in partitions.live(instance).groups:
            asset = group.asset("indicators")
            due = stale_partitions(instance, INDICATORS_OF_KLINES, partitions, group, keys)
            asked += range_requests(instance, partitions, group, asset, due, occasion=f"{tick:%Y-%m-%dT%H:%M}")
        return asked or dg.SkipReason("indicators are as new as their klines, or being asked for")

    return indicators

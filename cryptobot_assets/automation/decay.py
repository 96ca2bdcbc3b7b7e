"""From decay to a new training: the champion is looked at after every verdict, and trained anew where it decayed."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg

from cryptobot_assets.assets.decay import NAME, RETRAIN
from cryptobot_assets.assets.training_record import REASON_TAG
from cryptobot_assets.automation.clock import market_now
from cryptobot_assets.automation.models import can_train, models_of, trained_markets
from cryptobot_assets.automation.records import ASSET_JOB, CRASH_RETRIES, PROCESS_TAG, sensor_status
from cryptobot_assets.partitions import Partitions, model_key
from cryptobot_assets.storage.listings import pooled_currencies
from cryptobot_assets.storage.store import INDICATORS, Store

CHAMPION, REPORT = dg.AssetKey("champion_model"), dg.AssetKey(NAME)
MOST_RECORDS = 100
MOST_REASON = 250


def decay_sensors(partitions: Partitions) -> dg.Definitions:
    """The sensor that looks at champions and asks for trainings."""
    settings = partitions.settings

    @dg.sensor(
        name="drift_sensor",
        job_name=ASSET_JOB,
        minimum_interval_seconds=settings.sensor_seconds,
        default_status=sensor_status(settings),
        description=(
            "After every verdict on a market, its drift report; after a report that found drift or decay, a training "
            f"of the market as of that day, unless it was trained within {settings.retrain_days} days. "
            "Predictions, evaluation and the gate follow as after any training."
        ),
    )
    def drift(
        context: dg.SensorEvaluationContext, store: dg.ResourceParam[Store]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        cursor: dict[str, int] = json.loads(context.cursor or "{}")
        judged = _new_records(context.instance, CHAMPION, cursor)
        reported = _new_records(context.instance, REPORT, cursor)
        context.update_cursor(json.dumps(cursor))
        asked = [_report(market, place) for market, (place, _) in judged.items() if market in partitions.markets]
        reasons = {market: why for market, (_, why) in reported.items() if why and market in partitions.markets}
        if reasons:
            asked += _trainings(context, partitions, store, reasons)
        return asked or dg.SkipReason("no verdict is new, and no new report found drift or decay")

    return dg.Definitions(sensors=[drift])


def _trainings(
    context: dg.SensorEvaluationContext, partitions: Partitions, store: Store, reasons: dict[str, str]
) -> list[dg.RunRequest]:
    settings = partitions.settings
    today = market_now(settings, store, datetime.now(UTC)).date()
    trained, spans = trained_markets(context.instance), store.spans(INDICATORS)
    pool, asked = pooled_currencies(settings, store), []
    for market, reason in reasons.items():
        newest = max(trained.get(market, ()), default=None)
        if newest is not None and today - newest < timedelta(days=settings.retrain_days):
            told = "%s: trained as of %s, less than %d days ago; %s"
            context.log.info(told, market, newest, settings.retrain_days, reason)
        elif not can_train(spans, market, today):
            context.log.warning("%s: indicators do not reach to the day before %s; %s", market, today, reason)
        else:
            key = model_key(market, today)
            asked.append(
                dg.RunRequest(
                    job_name=ASSET_JOB,
                    asset_selection=[dg.AssetKey(name) for name in models_of(market, settings, pool)],
                    run_key=f"drift {key}",
                    partition_key=key,
                    tags={**CRASH_RETRIES, REASON_TAG: reason[:MOST_REASON]},
                )
            )
    return asked


def _report(market: str, place: int) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=ASSET_JOB,
        asset_selection=[REPORT],
        run_key=f"{NAME} {market} after {place}",
        partition_key=market,
        tags=CRASH_RETRIES,
    )


def _new_records(
    instance: dg.DagsterInstance, key: dg.AssetKey, cursor: dict[str, int]
) -> dict[str, tuple[int, str | None]]:
    """By market, place and reason of its newest materialization since the cursor, which moves on.

    At first everything recorded counts as seen; runs inside a command never count.
    """
    name = key.to_user_string()
    if name not in cursor:
        newest = instance.fetch_materializations(key, limit=1).records
        cursor[name] = newest[0].storage_id if newest else 0
        return {}
    since = dg.AssetRecordsFilter(asset_key=key, after_storage_id=cursor[name])
    found: dict[str, tuple[int, str | None]] = {}
    for record in instance.fetch_materializations(since, limit=MOST_RECORDS, ascending=True).records:
        cursor[name] = record.storage_id
        run = instance.get_run_by_id(record.run_id)
        if record.partition_key and (run is None or PROCESS_TAG not in run.tags):
            told = record.asset_materialization
            why = told.metadata.get(RETRAIN) if told is not None else None
            found[record.partition_key] = (record.storage_id, str(why.value) if why else None)
    return found

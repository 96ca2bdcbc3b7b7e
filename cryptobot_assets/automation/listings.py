"""New listings: the exchange is looked at every hour, and who is new becomes a partition."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import dagster as dg

from cryptobot_assets.automation.clock import ASK_SECONDS
from cryptobot_assets.automation.records import ASSET_JOB, CRASH_RETRIES, sensor_status
from cryptobot_assets.errors import ExchangeError
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.profile import expected_market
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.exchange_client import exchange_at
from cryptobot_assets.storage.listings import QUOTE, read_listings
from cryptobot_assets.storage.store import Store
from cryptobot_assets.universe import missing_partitions

LISTINGS = dg.AssetKey("listings")
LOOK_EVERY = timedelta(hours=1)
REFRESH_EVERY = timedelta(days=1)
"""A currency that stopped trading counts as delisted a day later; pauses are seen too."""
TICK_SECONDS = 300


def listing_sensors(partitions: Partitions) -> dg.Definitions:
    """The sensor that follows what the exchange lists.

    Where the universe is `all` it runs without being asked: there are no partitions before its first ticks.
    """
    settings = partitions.settings
    everyone = partitions.universe is not None

    @dg.sensor(
        name="new_listings_sensor",
        job_name=ASSET_JOB,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if everyone else sensor_status(settings),
        description=(
            "Asks the exchange once an hour what it lists; when that has changed, and once a day, `listings` is "
            "materialized. Where the universe is `all`, currencies that are listed and no partition yet become one, "
            "in the last group with room. Their klines are asked for by the next tick of ingestion."
        ),
    )
    def new_listings(context: dg.SensorEvaluationContext, store: dg.ResourceParam[Store]) -> dg.SensorResult:
        asked, cursor = look(context.instance, settings, json.loads(context.cursor or "{}"), datetime.now(UTC))
        added, later = missing_partitions(partitions, read_listings(store), context.instance)
        if later:
            context.log.warning("no group yet for %s: load this code location again", ", ".join(later))
        requests = [dg.DynamicPartitionsDefinition(name=name).build_add_request(names) for name, names in added.items()]
        return dg.SensorResult(
            run_requests=asked,
            skip_reason=None if asked or requests else dg.SkipReason("nothing new is listed"),
            dynamic_partitions_requests=requests,
            cursor=json.dumps(cursor),
        )

    return dg.Definitions(sensors=[new_listings])


def look(
    instance: dg.DagsterInstance, settings: Settings, cursor: dict[str, str], now: datetime
) -> tuple[list[dg.RunRequest], dict[str, str]]:
    """Runs of `listings` that are due, and the cursor to go on from.

    The cursor holds when the exchange was looked at, what it listed then, and when a run was last asked
    for. An exchange that gives no answer is asked again at the next tick.
    """
    if "looked" in cursor and now - datetime.fromisoformat(cursor["looked"]) < LOOK_EVERY:
        return [], cursor
    picture = picture_of(settings)
    if picture is None:
        return [], cursor
    after = {**cursor, "looked": now.isoformat(), "picture": picture}
    if picture == cursor.get("picture") and not is_old(instance, cursor["asked"], now):
        return [], after
    asked = dg.RunRequest(
        job_name=ASSET_JOB,
        asset_selection=[LISTINGS],
        run_key=f"listings {now:%Y-%m-%dT%H:%M:%S}",
        tags=CRASH_RETRIES,
    )
    return [asked], {**after, "asked": now.isoformat()}


def picture_of(settings: Settings) -> str | None:
    """A digest of what the exchange lists and what of it trades, None while it gives no answer."""
    market = expected_market(settings.home)
    exchange = exchange_at(settings.exchange_url, timeout_seconds=ASK_SECONDS, retries=1, expected_market=market)
    try:
        listed = sorted((one.name, one.trading) for one in exchange.symbols() if one.quote == QUOTE)
    except ExchangeError:
        return None
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def is_old(instance: dg.DagsterInstance, asked: str, now: datetime) -> bool:
    """Whether `listings` was not made for a day, or not since a run of it was last asked for."""
    newest = instance.get_latest_materialization_event(LISTINGS)
    if newest is None:
        return True
    made = datetime.fromtimestamp(newest.timestamp, UTC)
    return now - made >= REFRESH_EVERY or made < datetime.fromisoformat(asked)

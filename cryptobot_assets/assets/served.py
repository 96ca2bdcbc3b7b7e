"""Served predictions in the store, and what became of them."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.served import NO_CURRENCY, PREDICTION_KEY, outcomes_of
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.overtaking import until_not_overtaken
from cryptobot_assets.storage.served_spool import FOLDER, empty_spool
from cryptobot_assets.storage.store import KLINES, PREDICTION_OUTCOMES, SERVED_PREDICTIONS, Store

GROUP = "serving"


def served_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """`served_predictions` and `prediction_outcomes` of one deployment."""
    settings = partitions.settings
    every_kline = [
        dg.AssetDep(group.asset("klines"), partition_mapping=dg.AllPartitionMapping()) for group in partitions.groups
    ]

    @dg.asset(
        group_name=GROUP,
        kinds={"python", "bentoml"},
        owners=["team:research"],
        code_version="1",
        description=(
            "Every prediction the service gave: by which version, in which role (champion, challenger, shadow, named), "
            "for which row. The service's workers append them to files in the home; this moves the finished files "
            "into the table `served_predictions`."
        ),
    )
    def served_predictions(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult:
        emptied = empty_spool(settings.home / FOLDER, store)
        if emptied.unreadable:
            context.log.warning("%d lines cannot be read: kept in %s", emptied.unreadable, settings.home / FOLDER)
        return dg.MaterializeResult(
            metadata={
                "rows": emptied.rows,
                "files": emptied.files,
                "cut_off": emptied.cut_off,
                "unreadable": emptied.unreadable,
            }
        )

    @dg.asset(
        deps=["served_predictions", *every_kline],
        group_name=GROUP,
        kinds={"python", "polars"},
        owners=["team:research"],
        code_version="1",
        description=(
            f"Realised 24 h return of each prediction served in the last {settings.catch_up_days} days, from the "
            "klines that are stored now, once they reach 24 hours past its row (table `prediction_outcomes`)."
        ),
    )
    def prediction_outcomes(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult:
        rows = write_outcomes(store, settings, datetime.now(UTC))
        squares = (pl.col("predicted_return") - pl.col("realised_return")) ** 2
        by_role = rows.group_by("role").len().sort("role")
        return dg.MaterializeResult(
            metadata={
                "rows": rows.height,
                **({"mean_squared_error": float(rows.select(squares.mean()).item())} if rows.height else {}),
                **{f"{role}/rows": count for role, count in by_role.iter_rows()},
            }
        )

    return [served_predictions, prediction_outcomes]


def write_outcomes(store: Store, settings: Settings, now: datetime) -> pl.DataFrame:
    """Make the outcomes of what was served in the last `catch_up_days` days anew; returns them.

    A day whose outcomes are stored already is not written.
    """
    served_on = store.counts(SERVED_PREDICTIONS, every="day", start=now - timedelta(days=settings.catch_up_days))
    made = [_write_day(store, settings, day) for day in served_on["time"].unique().sort()]
    return pl.concat([pl.DataFrame(schema=PREDICTION_OUTCOMES.schema), *made])


def _write_day(store: Store, settings: Settings, day: datetime) -> pl.DataFrame:
    rows = pl.DataFrame(schema=PREDICTION_OUTCOMES.schema)

    def write() -> None:
        nonlocal rows
        since = store.version(PREDICTION_OUTCOMES)
        rows = read_outcomes(store, settings, day, day + DAY)
        if not store.read(PREDICTION_OUTCOMES, start=day, end=day + DAY).equals(rows):
            store.replace(PREDICTION_OUTCOMES, rows, start=day, end=day + DAY, since=since)

    until_not_overtaken(write)
    return rows


def read_outcomes(store: Store, settings: Settings, start: datetime, end: datetime) -> pl.DataFrame:
    """Outcomes of what was served in [start, end), as stored klines tell them; none of a locked holdout."""
    served = store.read(SERVED_PREDICTIONS, start=start, end=end).filter(pl.col("currency") != NO_CURRENCY)
    parts = [pl.DataFrame(schema=PREDICTION_OUTCOMES.schema)]
    days = served["time"].dt.truncate("1d")
    for day in days.unique().drop_nulls().sort():
        part = served.filter(days == day)
        closes = store.read(
            KLINES,
            start=day,
            end=day + DAY + HORIZON,
            columns=["currency", "time", "close"],
            currency=part["currency"].unique().sort().to_list(),
        )
        parts.append(outcomes_of(part, closes, interval=settings.interval, until=settings.holdout_start))
    return pl.concat(parts).sort(PREDICTION_KEY)

"""Predictions that were served, and what really happened after them.

::

    served_at (any instant)
        |  the reply used row t, known at t + interval
    row t      known_at                              label_end_time = known_at + 24 h
    |----------|---------------- horizon ----------------|
                                    from here on the realised return is known: close(t + 24 h) / close(t) - 1
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.klines import UTC_TIME
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.errors import UsageError

CHAMPION, CHALLENGER, SHADOW, NAMED = "champion", "challenger", "shadow", "named"
ROLES = (CHAMPION, CHALLENGER, SHADOW, NAMED)
"""Whose answer it was: of the champion, of the challenger in its share of the requests, of the one of both that did
not answer (scored beside the reply), or of an algorithm that was asked for by name."""

NO_CURRENCY = ""
"""`currency` of a prediction of rows that the caller sent."""

PREDICTION_KEY = ("prediction_id", "role", "position")

SERVED_SCHEMA = {
    "prediction_id": pl.String(),
    "role": pl.String(),
    "position": pl.Int64(),
    "served_at": UTC_TIME,
    "route": pl.String(),
    "market": pl.String(),
    "algorithm": pl.String(),
    "version": pl.String(),
    "registered_name": pl.String(),
    "verdict": pl.String(),
    "caller": pl.String(),
    "currency": pl.String(),
    "time": UTC_TIME,
    "known_at": UTC_TIME,
    "rows": pl.Int64(),
    "predicted_return": pl.Float64(),
    "interval_low": pl.Float64(),
    "interval_high": pl.Float64(),
}
OUTCOME_SCHEMA = {
    "prediction_id": pl.String(),
    "role": pl.String(),
    "position": pl.Int64(),
    "served_at": UTC_TIME,
    "market": pl.String(),
    "algorithm": pl.String(),
    "version": pl.String(),
    "currency": pl.String(),
    "time": UTC_TIME,
    "label_end_time": UTC_TIME,
    "predicted_return": pl.Float64(),
    "realised_return": pl.Float64(),
}

_ID_LENGTH, _MILLISECONDS_LENGTH = 32, 12


def make_prediction_id(served_at: datetime, randomness: bytes) -> str:
    """An id of 32 hexadecimal digits that begins with its instant, so that ids sort by time.

    >>> make_prediction_id(datetime(2024, 5, 13, tzinfo=UTC), bytes(10))
    '018f6f55600000000000000000000000'
    """
    return f"{int(served_at.timestamp() * 1000):0{_MILLISECONDS_LENGTH}x}{randomness[:10].hex()}"


def served_around(prediction_id: str) -> tuple[datetime, datetime]:
    """The half-open range of time in which an id was given.

    >>> served_around("018f6f55600000000000000000000000")[0].isoformat()
    '2024-05-13T00:00:00+00:00'

    Raises:
        UsageError: it is not the id of a prediction.
    """
    digits = prediction_id.strip().lower()
    if len(digits) != _ID_LENGTH or set(digits) - set("0123456789abcdef"):
        raise UsageError(f"{prediction_id[:60]!r} is no prediction's id: give the 32 digits of `prediction_id`")
    try:
        first = datetime.fromtimestamp(int(digits[:_MILLISECONDS_LENGTH], 16) / 1000, UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{prediction_id[:60]!r} is no prediction's id: its time cannot be") from None
    return first - timedelta(seconds=1), first + timedelta(seconds=1)


def outcomes_of(
    served: pl.DataFrame, closes: pl.DataFrame, *, interval: str, until: datetime | None = None
) -> pl.DataFrame:
    """What became of served predictions, as far as klines tell.

    Args:
        served: rows of `SERVED_SCHEMA`; those without a currency, a time or one predicted return are left out.
        closes: currency, time, close of stored klines.
        until: outcomes known only after it are left out (a locked holdout).

    Returns:
        rows of `OUTCOME_SCHEMA`, one for each prediction whose two closes are there, sorted by key.
    """
    asked = served.filter(pl.col("currency") != NO_CURRENCY).drop_nulls(["time", "predicted_return"])
    later = closes.select("currency", time=pl.col("time") - HORIZON, later="close")
    label_end_time = pl.col("time") + interval_delta(interval) + HORIZON
    rows = (
        asked.join(closes, on=["currency", "time"])
        .join(later, on=["currency", "time"])
        .with_columns(label_end_time=label_end_time, realised_return=pl.col("later") / pl.col("close") - 1)
    )
    if until is not None:
        rows = rows.filter(pl.col("label_end_time") <= until)
    return rows.select(pl.col(name).cast(kind) for name, kind in OUTCOME_SCHEMA.items()).sort(PREDICTION_KEY)

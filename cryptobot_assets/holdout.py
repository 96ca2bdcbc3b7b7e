"""Opening the holdout: the registered versions on outcomes that nothing has read before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from cryptobot_assets.domain.evaluation import Evaluation, finite
from cryptobot_assets.domain.instants import earliest
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.errors import NotEnoughHistory, UsageError
from cryptobot_assets.leaderboard import evaluate_predictions, read_predictions
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.holdout_log import Opening, begin_opening, end_opening
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import INDICATORS, Store


def open_holdout(
    store: Store,
    registry: Registry,
    settings: Settings,
    market: str,
    *,
    by: str,
    commit: str,
    reason: str,
    now: datetime,
) -> Opening:
    """Evaluate the champion and its rivals from the holdout's first instant on, and record it.

    Raises:
        UsageError: there is no holdout. NotEnoughHistory: no row of it is predicted, or none has an outcome yet.
    """
    start = require_holdout(settings)
    predictions = read_predictions(store, market, start=start)
    if not predictions:
        raise NotEnoughHistory(f"market {market} has no prediction from {start:%Y-%m-%d} on: materialize predictions")
    run_id, opening = begin_opening(
        registry,
        time=now.isoformat(timespec="seconds"),
        by=by,
        commit=commit,
        market=market,
        holdout_from=f"{settings.holdout_from}",
        reason=reason,
    )
    opened = settings.model_copy(update={"holdout_from": None})
    evaluations = evaluate_predictions(
        store, opened, {name: _realised(store, part) for name, part in predictions.items()}
    )
    champion = registry.champion(market)
    figures = {
        one.algorithm: _figures(one, champion=champion is not None and champion.algorithm == one.algorithm)
        for one in evaluations
    }
    ended = end_opening(registry, run_id, opening, figures)
    if not figures:
        raise NotEnoughHistory(f"no outcome from {start:%Y-%m-%d} on is known yet; opening {ended.number} is recorded")
    return ended


def require_holdout(settings: Settings) -> datetime:
    """The first instant of the holdout; raises `UsageError` where there is none."""
    if settings.holdout_start is None:
        raise UsageError("there is no holdout: set CRYPTOBOT_HOLDOUT_FROM to its first day")
    return settings.holdout_start


def _realised(store: Store, predictions: pl.DataFrame) -> pl.DataFrame:
    """The rows with the outcomes that closes give now; stored ones are hidden while there is a holdout."""
    closes = store.read(
        INDICATORS,
        start=earliest(predictions["time"]),
        end=None,
        columns=["currency", "time", "close"],
        currency=sorted(predictions["currency"].unique()),
    )
    later = closes.select("currency", pl.col("time") - HORIZON, pl.col("close").alias("later"))
    joined = predictions.join(closes, on=["currency", "time"], how="left").join(
        later, on=["currency", "time"], how="left"
    )
    return joined.with_columns(realised_return=pl.col("later") / pl.col("close") - 1).drop("later", "close")


def _figures(one: Evaluation, *, champion: bool) -> Mapping[str, Any]:
    made = {
        "champion": champion,
        "version": one.version,
        "rows": one.score.rows,
        "mse": one.score.mse,
        "mse_zero": one.score.mse_zero,
        "ic": one.score.ic,
        "net": one.pool.net if one.pool else None,
        "control_net": one.control.net if one.control else None,
    }
    return {name: value for name, value in finite(made).items() if value is not None}

"""Walk-forward retraining of XGBoost: our parts beside FreqAI's backtesting, rows, features and parameters alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from benchmarks.peers.contest import Contest, Contestant, Outcome, hold
from benchmarks.peers.place import SEED, Place
from cryptobot_assets.domain.features import DEFAULT_FEATURES
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.models.base import defaults
from cryptobot_assets.models.xgboost_trees import BINS, SPACE

OURS, PEER = "ours: lake, samples, fit, predictions", "FreqAI backtesting"
AIM = 1.0
CURRENCIES, CUTOFFS = 10, 8
PERIOD_DAYS, MOST_TRAIN_DAYS = 7, 90
BEFORE = timedelta(days=32)
"""Before the first training row: the longest lookback, and the outage that simulated markets begin with."""

LEAST_CORRELATION = 0.99


def training_loop(place: Place) -> list[Outcome]:
    """XGBoost retrained every week per currency and predicting the next, beside FreqAI's backtesting."""
    klines = pl.read_parquet(place.klines)
    plan = make_plan(klines)
    path = place.folder / "plan.json"
    path.write_text(json.dumps(plan))
    folders = {program: place.folder / program for program in ("our_loop", "freqai_loop")}
    told = {program: (str(path), str(place.klines), str(folder)) for program, folder in folders.items()}
    for folder in folders.values():
        folder.mkdir()
    ways = (
        Contestant(OURS, "our_loop", told["our_loop"]),
        Contestant(PEER, "freqai_loop", told["freqai_loop"], python=place.python("freqtrade"), aim=AIM),
    )
    contest = Contest(
        key="training_loop",
        title="A model a currency, retrained every week",
        setting=f"{len(plan['currencies'])} currencies, hourly, {len(DEFAULT_FEATURES)} features, {plan['train_days']} "
        f"days of training rows, {plan['windows']} windows of {PERIOD_DAYS} days, XGBoost of {plan['ours']['trees']} "
        "trees on one thread; features from klines, models and predictions kept on disk",
        ours=OURS,
        contestants=ways,
        agree=alike,
    )
    return [hold(contest, place.turns, place.told)]


def make_plan(klines: pl.DataFrame) -> dict[str, Any]:
    """Currencies, days and parameters, as both ways read them."""
    currencies = klines["currency"].unique(maintain_order=True).head(CURRENCIES).to_list()
    spans = klines.filter(pl.col("currency").is_in(currencies)).group_by("currency")
    whole = spans.agg(first=pl.col("time").min(), last=pl.col("time").max())
    oldest, last = whole["first"].max(), whole["last"].min()
    assert isinstance(oldest, datetime)
    assert isinstance(last, datetime)
    days = (last - oldest - BEFORE).days - 1
    train_days = min(MOST_TRAIN_DAYS, days // 2)
    windows = min(CUTOFFS, (days - train_days) // PERIOD_DAYS)
    start = midnight(last) - timedelta(days=windows * PERIOD_DAYS)
    rows = train_days * 24 - HORIZON // timedelta(hours=1)
    ours = defaults(SPACE)
    return {
        "currencies": currencies, "features": list(DEFAULT_FEATURES), "train_days": train_days, "windows": windows,
        "period_days": PERIOD_DAYS, "first": f"{start:%Y%m%d}", "end": f"{midnight(last):%Y%m%d}", "seed": SEED,
        "ours": ours, "xgboost": as_xgboost(ours, rows),
    }  # fmt: skip


def midnight(moment: datetime) -> datetime:
    """First instant of its day."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def as_xgboost(ours: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Our parameters in XGBoost's words, the floors under a leaf of so many rows."""
    return {
        "n_estimators": ours["trees"], "max_depth": ours["depth"], "learning_rate": ours["learning_rate"],
        "subsample": ours["row_share"], "colsample_bytree": ours["feature_share"], "tree_method": "hist",
        "max_bin": BINS, "min_child_weight": ours["leaf_share"] * rows, "reg_lambda": ours["l2_share"] * rows,
        "n_jobs": 1, "random_state": SEED, "verbosity": 0,
    }  # fmt: skip


def alike(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """What both learned from, and how near their predictions of the same rows are.

    Raises:
        RuntimeError: other shapes of training rows, or predictions that are not near.
    """
    ours, peer = ({tuple(shape) for shape in facts[name]["trained"]} for name in (OURS, PEER))
    models = {name: len(found["trained"]) for name, found in facts.items()}
    frames = [pl.read_parquet(facts[name]["predictions"]).with_columns(pl.col("time").dt.cast_time_unit("us"))
              for name in (OURS, PEER)]  # fmt: skip
    both = frames[0].join(frames[1], on=["currency", "time"], suffix="_peer")
    mine, theirs = both["predicted_return"].to_numpy(), both["predicted_return_peer"].to_numpy()
    correlation = float(np.corrcoef(mine, theirs)[0, 1])
    known = both["realised_return"].is_not_null().to_numpy()
    truth = both["realised_return"].to_numpy()[known]
    errors = [float(np.mean((one[known] - truth) ** 2)) * 1e6 for one in (mine, theirs)]
    told = (
        f"trained on {shapes(ours)} (ours), {shapes(peer)} (FreqAI); {models[OURS]} and {models[PEER]} models; "
        f"{len(both):,} of {len(frames[0]):,} and {len(frames[1]):,} predicted rows are the same, correlation "
        f"{correlation:.4f}, squared error {errors[0]:.1f} and {errors[1]:.1f} millionths"
    )
    if ours != peer or models[OURS] != models[PEER] or correlation < LEAST_CORRELATION:
        raise RuntimeError(told)
    return told


def shapes(found: set[tuple[int, int]]) -> str:
    """Rows x columns, or the range of them."""
    rows, columns = zip(*sorted(found), strict=True)
    span = f"{rows[0]:,}" if len(set(rows)) == 1 else f"{min(rows):,} to {max(rows):,}"
    return f"{span} rows x {columns[0]}"

"""What a set of out-of-sample predictions is worth, each figure beside its no-skill counterpart.

Every function takes scored rows: one a (currency, time) with a predicted and a realised 24 h
return, the realised one known. Minute rows overlap almost wholly; figures that need a time to
decide at use only the rows known at a whole hour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cryptobot_assets.domain.bootstrap import DRAWS, Interval, bootstrap_interval
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.domain.labels import HORIZON, HORIZON_HOURS

SMALLEST_CROSS_SECTION = 3
IC_BLOCK_HOURS = 2 * HORIZON_HOURS


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of one class, and how many rows truly are of it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Classification:
    """Up (1) against down (0), read next to the base rate and the number of independent samples.

    Attributes:
        base_rate: share of rows that truly went up: the precision of always saying up.
        effective_n: independent samples among the rows, see `effective_sample_count`.
        effective_said_up: those of them that were said to go up.
    """

    down: ClassScore
    up: ClassScore
    accuracy: float
    base_rate: float
    effective_n: float
    effective_said_up: float


@dataclass(frozen=True)
class Score:
    """The predictive figures of one algorithm's out-of-sample rows.

    Attributes:
        rows: scored rows. mse, mse_zero: mean squared error, and that of predicting zero.
        ic: mean hourly IC, with its 90 % interval; None where it cannot be computed.
        skill: time and skill, see `hourly_skill`.
    """

    rows: int
    mse: float
    mse_zero: float
    ic: float | None
    ic_ci: Interval
    classification: Classification
    skill: pl.DataFrame


def at_whole_hours(rows: pl.DataFrame, interval: str) -> pl.DataFrame:
    """The rows whose known_at is a whole hour: the instants at which sleeves decide."""
    known_at = pl.col("time") + interval_delta(interval)
    return rows.filter(known_at.dt.epoch("s") % 3600 == 0)


def score(rows: pl.DataFrame, interval: str, *, seed: int, draws: int = DRAWS) -> Score:
    """All figures of rows with columns currency, time, predicted_return, realised_return (no nulls)."""
    predicted, realised = rows["predicted_return"].to_numpy(), rows["realised_return"].to_numpy()
    hourly = at_whole_hours(rows, interval)
    ic, ic_ci = information_coefficient(hourly, seed=seed, draws=draws)
    return Score(
        rows=rows.height,
        mse=float(np.mean((predicted - realised) ** 2)),
        mse_zero=float(np.mean(realised**2)),
        ic=ic,
        ic_ci=ic_ci,
        classification=classify(rows, interval),
        skill=hourly_skill(hourly),
    )


def hourly_ic(rows: pl.DataFrame) -> pl.DataFrame:
    """Spearman correlation across currencies at each time: columns time, ic, sorted by time.

    Times with fewer than three currencies, or a constant side, are absent.
    """
    ranks = rows.select(
        "time",
        pl.col("predicted_return").rank().over("time").alias("p"),
        pl.col("realised_return").rank().over("time").alias("r"),
    )
    return (
        ranks.group_by("time")
        .agg(pl.corr("p", "r").alias("ic"), pl.len().alias("n"))
        .filter((pl.col("n") >= SMALLEST_CROSS_SECTION) & pl.col("ic").is_finite())
        .select("time", "ic")
        .sort("time")
    )


def information_coefficient(rows: pl.DataFrame, *, seed: int, draws: int = DRAWS) -> tuple[float | None, Interval]:
    """Mean hourly IC with its interval.

    With fewer than three currencies there is no cross-section: the figure is then the rank
    correlation over time of the same hourly rows.
    """
    currencies = rows["currency"].n_unique()
    if currencies >= SMALLEST_CROSS_SECTION:
        series = hourly_ic(rows)["ic"].to_numpy()
        if not len(series):
            return None, None
        return float(series.mean()), bootstrap_interval(
            series, np.mean, block=IC_BLOCK_HOURS, overlap=HORIZON_HOURS, seed=seed, draws=draws
        )
    pairs = rows.sort("time", "currency").select("predicted_return", "realised_return").to_numpy()
    value = _rank_correlation(pairs)
    if not np.isfinite(value):
        return None, None
    block, overlap = IC_BLOCK_HOURS * currencies, HORIZON_HOURS * currencies
    return value, bootstrap_interval(pairs, _rank_correlation, block=block, overlap=overlap, seed=seed, draws=draws)


def hourly_skill(rows: pl.DataFrame) -> pl.DataFrame:
    """What each hour adds to the IC: columns time, skill, sorted by time; its mean is zero without skill.

    The hourly IC itself; with fewer than three currencies the product of the standardised ranks over
    time of prediction and return, whose mean is the rank correlation. Empty where one side is constant.
    """
    if rows["currency"].n_unique() >= SMALLEST_CROSS_SECTION:
        return hourly_ic(rows).rename({"ic": "skill"})
    ranked = rows.select("time", p=pl.col("predicted_return").rank(), r=pl.col("realised_return").rank())
    standard = [(pl.col(name) - pl.col(name).mean()) / pl.col(name).std(ddof=0) for name in ("p", "r")]
    products = ranked.select("time", skill=standard[0] * standard[1]).filter(pl.col("skill").is_finite())
    return products.group_by("time").agg(pl.col("skill").mean()).sort("time")


def _rank_correlation(pairs: np.ndarray) -> float:
    frame = pl.DataFrame(pairs, schema=["p", "r"])
    value = frame.select(pl.corr(pl.col("p").rank(), pl.col("r").rank())).item()
    return float("nan") if value is None else float(value)


def classify(rows: pl.DataFrame, interval: str) -> Classification:
    """Classification report of the sign of the prediction against the sign of the return."""
    said_up = rows["predicted_return"].to_numpy() > 0
    went_up = rows["realised_return"].to_numpy() > 0
    samples = effective_sample_count(rows, interval)
    return Classification(
        down=_class_score(~said_up, ~went_up),
        up=_class_score(said_up, went_up),
        accuracy=float(np.mean(said_up == went_up)),
        base_rate=float(np.mean(went_up)),
        effective_n=samples,
        effective_said_up=samples * float(np.mean(said_up)),
    )


def _class_score(said: np.ndarray, truly: np.ndarray) -> ClassScore:
    hits = int(np.sum(said & truly))
    precision = hits / int(said.sum()) if said.any() else 0.0
    recall = hits / int(truly.sum()) if truly.any() else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return ClassScore(precision=precision, recall=recall, f1=f1, support=int(truly.sum()))


def effective_sample_count(rows: pl.DataFrame, interval: str) -> float:
    """Independent samples among overlapping, correlated labels.

    Over time: rows x interval / 24 h for each currency, since labels that share their horizon are
    one sample. Across N currencies: N / (1 + (N - 1) rho) with rho the mean pairwise correlation
    of their labels (at least 0), the design effect of equally correlated samples (Kish, 1965).
    """
    currencies = rows["currency"].n_unique()
    spans = rows.height * interval_delta(interval) / HORIZON / currencies
    if currencies == 1:
        return float(spans)
    return float(spans * currencies / (1 + (currencies - 1) * _mean_correlation(rows, interval)))


def _mean_correlation(rows: pl.DataFrame, interval: str) -> float:
    """Mean pairwise correlation of the hourly labels; 1, the cautious answer, where no row is hourly."""
    hourly = at_whole_hours(rows, interval).pivot("currency", index="time", values="realised_return").drop("time")
    if not hourly.height or hourly.width < 2:
        return 1.0
    labels = hourly.to_numpy()
    deviation = np.nanstd(labels, axis=0)
    standard = (labels - np.nanmean(labels, axis=0)) / np.where(deviation > 0, deviation, np.nan)
    known = np.isfinite(standard).astype(float)
    together = known.T @ known
    products = np.nan_to_num(standard).T @ np.nan_to_num(standard)
    apart = ~np.eye(len(together), dtype=bool) & (together > 0)
    if not apart.any():
        return 1.0
    return min(max(float(np.mean(products[apart] / together[apart])), 0.0), 1.0)

"""How the champion of a market fares in its newest days: features, errors and intervals, of what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cryptobot_assets.domain.conformal import Coverage, interval_coverage
from cryptobot_assets.domain.decay import ErrorChange, FeatureChange, error_change, feature_change
from cryptobot_assets.domain.instants import latest
from cryptobot_assets.domain.intervals import DAY, interval_delta
from cryptobot_assets.domain.samples import Samples
from cryptobot_assets.errors import NoModel
from cryptobot_assets.leaderboard import open_end
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import CURRENCIES, RegisteredVersion
from cryptobot_assets.storage.registry_runs import read_run
from cryptobot_assets.storage.samples import SampleReader
from cryptobot_assets.storage.store import INDICATORS, PREDICTIONS, Store, newest_times

DAY_MINUTES = 1440


@dataclass(frozen=True)
class Decay:
    """What was found; a part is None where there is too little to tell."""

    version: RegisteredVersion
    features: FeatureChange | None
    errors: ErrorChange | None
    coverage: Coverage | None

    @property
    def misses(self) -> bool:
        """Whether the whole interval of the share inside lies below what was promised."""
        inside = self.coverage
        return inside is not None and inside.ci is not None and inside.ci[1] < inside.nominal

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the model should be trained anew, as sentences; none where nothing was found."""
        found, features, errors = [], self.features, self.errors
        if features is not None and features.changed:
            found.append(
                f"features: the newest days are less like the training rows than {1 - features.p:.0%} of its own "
                f"stretches (mean index {features.index:.2f}), most of all {features.shifts[0].feature}"
            )
        if errors is not None and errors.worsened:
            found.append(f"errors: beside predicting zero they rose from {errors.before:+.3f} to {errors.after:+.3f}")
        if self.misses and self.coverage is not None:
            held, promised = self.coverage.realised, self.coverage.nominal
            found.append(f"intervals: {held:.1%} of outcomes fell inside, {promised:.0%} were promised")
        return tuple(found)


def look_at_champion(store: Store, registry: Registry, settings: Settings, market: str) -> Decay:
    """Look at a market's champion; nothing known after the newest stored row, nor of the holdout, is read.

    Raises:
        NoModel: it has none.
    """
    champion = registry.champion(market)
    if champion is None:
        raise NoModel(f"market {market} has no champion to look at: train and evaluate its models first")
    rows = store.read(
        PREDICTIONS,
        end=open_end(settings, None),
        market=market,
        algorithm=champion.algorithm,
        version=champion.source_version,
    ).drop_nulls("realised_return")
    return Decay(
        champion,
        _features(store, registry, settings, champion),
        _errors(rows, settings),
        _coverage(rows, champion, settings),
    )


def _features(
    store: Store, registry: Registry, settings: Settings, champion: RegisteredVersion
) -> FeatureChange | None:
    run = read_run(registry, champion)
    if CURRENCIES not in run.tags:
        return None  # trained before runs told whose rows they read
    features, currencies = tuple(run.params["features"].split(",")), tuple(run.tags[CURRENCIES].split(","))
    first, last = (datetime.fromisoformat(run.params[name]) for name in ("start_time", "end_time"))
    known = [time for name, time in newest_times(store, INDICATORS).items() if name in currencies]
    end = max(known, default=champion.cutoff) + interval_delta(settings.interval)
    end = end if settings.holdout_start is None else min(end, settings.holdout_start)
    span = timedelta(days=settings.drift_days)
    if end - span < champion.cutoff:
        return None
    reader = SampleReader(store, settings.interval, currencies)

    def daily(start: datetime, until: datetime) -> Samples:
        rows = reader.read(features, currencies, start, until, known_until=until, stride_minutes=DAY_MINUTES)
        known_at = rows.time + np.timedelta64(interval_delta(settings.interval))
        return rows.take(known_at == known_at.astype("datetime64[D]"))

    count = (last - first) // span
    trained = daily(last - count * span, last)
    place = (trained.time - np.datetime64((last - count * span).replace(tzinfo=None), "us")) // np.timedelta64(span)
    stretches = [trained.X[place == n] for n in range(count)]
    return feature_change(features, [rows for rows in stretches if len(rows)], daily(end - span, end).X)


def _errors(rows: pl.DataFrame, settings: Settings) -> ErrorChange | None:
    """Of rows known at midnight: a day apart, their labels share no hour."""
    known_at = pl.col("time") + interval_delta(settings.interval)
    missed = (pl.col("realised_return") - pl.col("predicted_return")) ** 2
    daily = (
        rows.filter(known_at == known_at.dt.truncate("1d"))
        .group_by("time")
        .agg(missed.mean().alias("error"), (pl.col("realised_return") ** 2).mean().alias("zero"))
        .sort("time")
    )
    return error_change(daily["error"].to_numpy(), daily["zero"].to_numpy())


def _coverage(rows: pl.DataFrame, champion: RegisteredVersion, settings: Settings) -> Coverage | None:
    if champion.interval_bounds is None or rows.is_empty():
        return None
    newest = rows.filter(pl.col("time") > latest(rows["time"]) - settings.drift_days * DAY)
    bounds = {champion.source_version: champion.interval_bounds}
    return interval_coverage(newest, bounds, settings.interval, seed=settings.seed)

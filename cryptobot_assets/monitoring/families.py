"""Every metric of the exporter: its name, what it says, and its labels, which take values from bounded sets.

Names follow Prometheus: the unit at the end, `_total` for what only grows, `_ratio` for shares and
multiples. A label `currency`, `market`, `asset`, `check` or `instigator` takes the names of this
deployment alone, `algorithm` those that are trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Family:
    """A metric: what it says in a sentence, the names of its labels, and whether it only grows."""

    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True)
class Figure:
    """One series of a family, as it is now."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


OF_SOURCES = {
    "cryptobot_source_up": Family("1 when the source was read within the last minutes", ("source",)),
    "cryptobot_source_read_seconds": Family("Seconds the last reading of the source took", ("source",)),
    "cryptobot_source_read_timestamp_seconds": Family("When the source was last read", ("source",)),
}
OF_STORE = {
    "cryptobot_newest_row_age_seconds": Family(
        "Market time since the newest row of a currency was known; the hundred stalest", ("table", "currency")
    ),
    "cryptobot_stalest_row_age_seconds": Family("The greatest of these ages", ("table",)),
    "cryptobot_median_row_age_seconds": Family("The median of these ages", ("table",)),
    "cryptobot_currencies": Family("Currencies that trade and have rows", ("table",)),
    "cryptobot_klines_expected": Family("Klines between a currency's first and newest, by the gap ledger"),
    "cryptobot_klines_stored": Family("Those of them that are stored, by the gap ledger"),
    "cryptobot_klines_lacking": Family("Klines that are not there, by why", ("kind",)),
    "cryptobot_gaps": Family("Runs of the grid without a kline, by why", ("kind",)),
    "cryptobot_outcomes": Family("Predictions served in the last 7 days whose outcome is known", ("role",)),
    "cryptobot_outcome_mse_ratio": Family(
        "Mean squared error of those, divided by that of predicting zero; 1 is no skill", ("role",)
    ),
    "cryptobot_outcome_direction_ratio": Family("Share of those whose direction was right", ("role",)),
    "cryptobot_paper_equity_ratio": Family(
        "Multiple of the capital if all were sold now, net of the costs told by cost_bps a side",
        ("market", "account", "cost_bps"),
    ),
    "cryptobot_paper_over_control_ratio": Family("The bot's multiple divided by holding the universe", ("market",)),
    "cryptobot_paper_over_control_low_ratio": Family("The same, low end of 90 %", ("market",)),
    "cryptobot_paper_over_control_high_ratio": Family("The same, high end of 90 %", ("market",)),
    "cryptobot_paper_hours": Family("Hours the paper bot has booked", ("market",)),
    "cryptobot_paper_age_seconds": Family("Market time since the newest hour that was booked", ("market",)),
}
OF_REGISTRY = {
    "cryptobot_model_versions": Family("Registered versions", ("market", "algorithm")),
    "cryptobot_model_cutoff_timestamp_seconds": Family(
        "Last instant that the training of the newest version knew", ("market", "algorithm")
    ),
    "cryptobot_champion_info": Family(
        "1; who is champion, and what the promotion gate said of it", ("market", "algorithm", "version", "verdict")
    ),
    "cryptobot_champion_version": Family("Version of cryptobot-<market> that is champion", ("market",)),
    "cryptobot_champion_passed": Family("1 when the champion has passed the promotion gate", ("market",)),
    "cryptobot_champion_overridden": Family("1 when a person decided who is champion, over the gate", ("market",)),
    "cryptobot_champion_cutoff_timestamp_seconds": Family(
        "Last instant that the training of the champion knew", ("market",)
    ),
    "cryptobot_champion_since_timestamp_seconds": Family("When the champion was made it", ("market",)),
    "cryptobot_champion_promotions": Family("Promotions to champion so far", ("market",)),
    "cryptobot_evaluation_rows": Family("Out-of-sample rows of the newest evaluation", ("market", "algorithm")),
    "cryptobot_evaluation_ic": Family("Mean hourly IC out of sample; 0 is no skill", ("market", "algorithm")),
    "cryptobot_evaluation_ic_low": Family("The same, low end of 90 %", ("market", "algorithm")),
    "cryptobot_evaluation_ic_high": Family("The same, high end of 90 %", ("market", "algorithm")),
    "cryptobot_evaluation_mse_ratio": Family(
        "Mean squared error out of sample, divided by that of predicting zero; 1 is no skill", ("market", "algorithm")
    ),
    "cryptobot_evaluation_accuracy_ratio": Family("Share of directions that were right", ("market", "algorithm")),
    "cryptobot_evaluation_base_rate_ratio": Family("Share of the commoner direction", ("market", "algorithm")),
    "cryptobot_evaluation_interval_coverage_ratio": Family(
        "Share of outcomes inside the 90 % interval", ("market", "algorithm")
    ),
    "cryptobot_pool_value_net_ratio": Family(
        "What capital would have become, net of the costs told by cost_bps a side", ("market", "algorithm", "cost_bps")
    ),
    "cryptobot_pool_value_net_low_ratio": Family("The same, low end of 90 %", ("market", "algorithm", "cost_bps")),
    "cryptobot_pool_value_net_high_ratio": Family("The same, high end of 90 %", ("market", "algorithm", "cost_bps")),
    "cryptobot_pool_value_gross_ratio": Family("The same before costs", ("market", "algorithm")),
    "cryptobot_pool_control_net_ratio": Family(
        "What the same capital would have become by holding, net", ("market", "algorithm", "cost_bps")
    ),
}
OF_DAGSTER = {
    "cryptobot_runs": Family("Runs that Dagster remembers, by status", ("status",)),
    "cryptobot_oldest_run_age_seconds": Family("Age of the oldest run in this status; 0 for none", ("status",)),
    "cryptobot_asset_runs_total": Family(
        "Runs of an asset that ended since the exporter began", ("asset", "outcome"), kind="counter"
    ),
    "cryptobot_asset_run_passed": Family("1 when the last run of an asset that ended succeeded", ("asset",)),
    "cryptobot_asset_run_seconds": Family("Seconds that run took", ("asset",)),
    "cryptobot_asset_run_timestamp_seconds": Family("When that run ended", ("asset",)),
    "cryptobot_asset_materialized_timestamp_seconds": Family("When the asset was last materialized", ("asset",)),
    "cryptobot_asset_partitions": Family("Materialized partitions of the asset", ("asset",)),
    "cryptobot_check_passed": Family("1 when the newest evaluation of a check passed", ("asset", "check", "severity")),
    "cryptobot_tick_failures": Family("Failed ticks in a row of a schedule or sensor that runs", ("instigator",)),
    "cryptobot_tick_timestamp_seconds": Family("When a schedule or sensor that runs last ticked", ("instigator",)),
    "cryptobot_daemon_heartbeat_timestamp_seconds": Family("When a daemon of Dagster last said it lives", ("daemon",)),
    "cryptobot_drift_found": Family("1 when the newest drift report asks for a training", ("market",)),
    "cryptobot_drift_report_timestamp_seconds": Family("When the newest drift report was made", ("market",)),
    "cryptobot_drift_feature_index": Family("Mean stability index of the champion's features", ("market",)),
    "cryptobot_drift_feature_p": Family(
        "Share of the training span's own stretches that are as unlike it; low is drift", ("market",)
    ),
    "cryptobot_drift_relative_error": Family(
        "Daily error beside predicting zero, before and after the change that was looked for", ("market", "when")
    ),
    "cryptobot_drift_interval_coverage_ratio": Family(
        "Share of the newest outcomes inside the champion's 90 % interval", ("market",)
    ),
}
OF_HOME = {
    "cryptobot_home_free_bytes": Family("Free room in the home's file system"),
    "cryptobot_home_size_bytes": Family("Size of the home's file system"),
    "cryptobot_spool_files": Family("Files of served predictions that wait to be stored"),
    "cryptobot_spool_bytes": Family("Their size"),
    "cryptobot_spool_unreadable_bytes": Family("Lines of served predictions that could not be read, kept aside"),
}
FAMILIES: Mapping[str, Family] = {**OF_SOURCES, **OF_STORE, **OF_REGISTRY, **OF_DAGSTER, **OF_HOME}

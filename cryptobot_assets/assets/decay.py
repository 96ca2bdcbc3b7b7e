"""Whether the champion has decayed: a report a market, and checks that say so in words."""

from typing import Any

import dagster as dg

from cryptobot_assets.decay import Decay, look_at_champion
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import Store

GROUP = "monitoring"
NAME = "drift_report"
RETRAIN = "retrain_because"
"""Metadata: why the model should be trained anew; absent where nothing was found."""
CHECKS = {
    "features_are_as_in_training": "The newest days are not less like the training rows than 95 % of the training "
    "span's own stretches of as many days, or the shift is small.",
    "errors_have_not_worsened": "Neither ADWIN nor Page-Hinkley saw the error, beside that of predicting zero, rise.",
    "intervals_hold_what_they_promise": "The 90 % interval of the share of outcomes inside is not wholly below the "
    "share promised.",
}


def decay_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `drift_report` asset of one deployment."""
    settings = partitions.settings

    @dg.asset(
        name=NAME,
        deps=["champion_model"],
        partitions_def=partitions.market_partitions,
        check_specs=[dg.AssetCheckSpec(name, asset=NAME, description=told) for name, told in CHECKS.items()],
        group_name=GROUP,
        kinds={"python", "polars"},
        owners=["team:research"],
        code_version="1",
        description=(
            f"How the champion fares in the newest {settings.drift_days} days: its features beside its training rows, "
            "its errors beside predicting zero since its cutoff, and how often outcomes fell inside its intervals. "
            "Where something has changed for the worse, a sensor asks for a training."
        ),
    )
    def drift_report(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], registry: dg.ResourceParam[Registry]
    ) -> dg.MaterializeResult:
        decay = look_at_champion(store, registry, settings, context.partition_key)
        return dg.MaterializeResult(metadata=_told(decay), check_results=_checks(decay))

    return [drift_report]


def _checks(decay: Decay) -> list[dg.AssetCheckResult]:
    features, errors, coverage = decay.features, decay.errors, decay.coverage
    found = {
        "features_are_as_in_training": (features is None or not features.changed, features is not None),
        "errors_have_not_worsened": (errors is None or not errors.worsened, errors is not None),
        "intervals_hold_what_they_promise": (not decay.misses, coverage is not None and coverage.ci is not None),
    }
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=passed,
            severity=dg.AssetCheckSeverity.ERROR if name.startswith("errors") else dg.AssetCheckSeverity.WARN,
            description=None if enough else "too few rows to tell",
        )
        for name, (passed, enough) in found.items()
    ]


def _told(decay: Decay) -> dict[str, Any]:
    told: dict[str, Any] = {"algorithm": decay.version.algorithm, "version": decay.version.source_version}
    if decay.reasons:
        told[RETRAIN] = "; ".join(decay.reasons)
    if decay.features is not None:
        lines = [f"| {one.feature} | {one.index:.3f} | {one.distance:.3f} |" for one in decay.features.shifts]
        table = "\n".join(["| feature | stability index | Kolmogorov-Smirnov |", "|---|---|---|", *lines])
        told |= {
            "feature_index": decay.features.index,
            "feature_p": decay.features.p,
            "training_stretches": len(decay.features.usual),
            "features": dg.MetadataValue.md(table),
        }
    if decay.errors is not None:
        told |= {
            "days_of_errors": decay.errors.days,
            "relative_error_before": decay.errors.before,
            "relative_error_after": decay.errors.after,
        }
    if decay.coverage is not None:
        told |= {"interval_coverage": decay.coverage.realised, "interval_promised": decay.coverage.nominal}
    return told

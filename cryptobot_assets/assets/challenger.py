"""The challenger: what was trained last, scored in shadow until the gate has outcomes to judge it by."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from cryptobot_assets.assets.links import registry_page
from cryptobot_assets.assets.promotion import GROUP
from cryptobot_assets.domain.intervals import day_start, parse_day
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import RegisteredVersion

CHALLENGER = "challenger_model"
UNJUDGED = {"promote": False, "reasons": ["not judged yet: no outcome of what it predicted is known"]}


def challenger_assets(partitions: Partitions, model_names: Sequence[str]) -> list[dg.AssetsDefinition]:
    """The `challenger_model` asset of one deployment."""
    settings = partitions.settings

    @dg.asset(
        name=CHALLENGER,
        deps=list(model_names),
        partitions_def=partitions.models,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
        group_name=GROUP,
        kinds={"python", "mlflow"},
        owners=["team:research"],
        code_version="1",
        description=(
            "Of the models trained as of a cutoff, the one of the reigning champion's algorithm becomes challenger: "
            "from then on the service scores with it in shadow. The gate judges it once outcomes of its predictions "
            "are known. The alias stays where it is when the champion or the challenger knows as much."
        ),
    )
    def challenger_model(
        context: dg.AssetExecutionContext, registry: dg.ResourceParam[Registry]
    ) -> dg.MaterializeResult:
        keys = context.partition_key.keys_by_dimension
        found, why = appoint(registry, keys["market"], day_start(parse_day(keys["cutoff"])))
        metadata: dict[str, Any] = {"appointed": "no" if found is None else "yes", "because": why}
        if found is not None:
            metadata |= {
                "algorithm": found.algorithm,
                "registered_model": found.name,
                "version": found.version,
                "source": f"{found.source_name} version {found.source_version}",
                "mlflow": registry_page(settings, found),
            }
        return dg.MaterializeResult(metadata=metadata)

    return [challenger_model]


def appoint(registry: Registry, market: str, cutoff: datetime) -> tuple[RegisteredVersion | None, str]:
    """Let the alias `challenger` name what was trained as of a cutoff; who became it, if anyone, and why."""
    champion, challenger = registry.champion(market), registry.challenger(market)
    if champion is None:
        return None, "nobody reigns yet: the first verdict names champion and challenger"
    for held, role in ((champion, "champion"), (challenger, "challenger")):
        if held is not None and held.cutoff >= cutoff:
            return None, f"the {role} knows as much: {held.algorithm} version {held.source_version}"
    trained = [one for one in registry.versions(market, champion.algorithm) if one.cutoff == cutoff]
    if not trained:
        return None, f"the champion's algorithm, {champion.algorithm}, was not trained as of this cutoff"
    appointed = registry.promote(trained[-1], alias="challenger", verdict=UNJUDGED)
    return appointed, f"it knows what the champion, version {champion.source_version}, could not know"

"""The champion: which version serves, by a verdict that carries its reasons."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import dagster as dg

from cryptobot_assets.assets.evaluation import require_evaluations
from cryptobot_assets.assets.links import registry_page
from cryptobot_assets.domain.evaluation import Evaluation, skill_of
from cryptobot_assets.domain.promotion import Candidate, Verdict
from cryptobot_assets.domain.significance import Superiority
from cryptobot_assets.domain.trial_days import Overfitting, as_json
from cryptobot_assets.errors import NoModel
from cryptobot_assets.leaderboard import evaluate_market
from cryptobot_assets.overfitting import overfitting_of
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.report import judge_evaluations, verdict_on
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import Override, RegisteredVersion
from cryptobot_assets.storage.store import Store

GROUP = "promotion"


def promotion_assets(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The `champion_model` asset of one deployment."""
    settings = partitions.settings

    @dg.asset(
        deps=["evaluation_report", "pool_value"],
        partitions_def=partitions.market_partitions,
        group_name=GROUP,
        kinds={"python", "mlflow"},
        owners=["team:research"],
        code_version="1",
        description=(
            "The verdict on the best candidate: promoted when its out-of-sample error is below that of predicting "
            "zero and below the reigning champion's on the same rows, and its skill is more than the best of all "
            "algorithms would show by luck. Moves the alias the service follows."
        ),
    )
    def champion_model(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], registry: dg.ResourceParam[Registry]
    ) -> dg.MaterializeResult:
        market = context.partition_key
        evaluations = require_evaluations(evaluate_market(store, settings, market, draws=0), market)
        tried = overfitting_of(registry, settings, market, evaluations)
        skill = skill_of(evaluations, seed=settings.seed)
        champion, verdict = crown(registry, market, evaluations, skill=skill, tried=tried)
        found = tried.get(champion.algorithm)
        return dg.MaterializeResult(
            metadata={
                "algorithm": champion.algorithm,
                "registered_model": champion.name,
                "version": champion.version,
                "mlflow": registry_page(settings, champion),
                "source": f"{champion.source_name} version {champion.source_version}",
                **(as_json(found) if found else {}),
                "verdict": "passed" if verdict.promote else "unproven",
                "override": champion.override.told if champion.override else "none: the gate decides",
                "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in verdict.reasons)),
            }
        )

    return [champion_model]


def crown(
    registry: Registry,
    market: str,
    evaluations: Sequence[Evaluation],
    *,
    skill: Superiority,
    tried: Mapping[str, Overfitting] = MappingProxyType({}),
) -> tuple[RegisteredVersion, Verdict]:
    """Judge the best candidate and move the aliases; returns who reigns now and the verdict on the candidate.

    A candidate that passes reigns. One that does not reigns only where no passed champion does, so
    that the platform serves, marked unproven. The challenger alias names the candidate, unless it
    names one that was trained later and has no outcome to be judged by yet. A champion that a person
    made stays until that is undone, and the verdict says so.

    Args:
        skill: the test over every algorithm.
        tried: by algorithm, what the number of tuning trials leaves of its record; quoted, not judged.
    """
    reigning = registry.champion(market)
    best, verdict = judge_evaluations(evaluations, reigning, skill=skill, tried=tried)
    version = newest_version(registry, market, best)
    told = {"promote": verdict.promote, "reasons": verdict.reasons}
    if not _waits(registry.challenger(market), version, evaluations):
        registry.promote(version, alias="challenger", verdict=told)
    if reigning is not None and reigning.override is not None:
        why = kept_by_hand(reigning, reigning.override, version)
        return reigning, Verdict(verdict.promote, (*verdict.reasons, why))
    if verdict.promote or reigning is None or reigning.verdict != "passed":
        return registry.promote(version, alias="champion", verdict=told), verdict
    return reigning, verdict


def _waits(
    challenger: RegisteredVersion | None, candidate: RegisteredVersion, evaluations: Sequence[Evaluation]
) -> bool:
    """Whether the challenger was trained after the candidate and has no outcome yet."""
    if challenger is None or challenger.cutoff <= candidate.cutoff:
        return False
    judged = {(one.candidate.algorithm, one.candidate.version) for one in evaluations}
    return (challenger.algorithm, challenger.source_version) not in judged


def kept_by_hand(reigning: RegisteredVersion, override: Override, candidate: RegisteredVersion) -> str:
    """Why the gate does not decide, as a sentence."""
    champion = f"{reigning.algorithm} version {reigning.source_version}"
    same = (reigning.source_name, reigning.source_version) == (candidate.source_name, candidate.source_version)
    rest = "" if same else f"; the gate's own candidate is {candidate.algorithm} version {candidate.version}"
    return (
        f"the alias stays on {champion}: {override.told}{rest} "
        f"(undo with: cryptobot promote --market {reigning.market} --by-gate)"
    )


def override_gate(
    registry: Registry,
    version: RegisteredVersion,
    evaluations: Sequence[Evaluation],
    *,
    skill: Superiority,
    by: str,
    reason: str,
    now: datetime,
    tried: Mapping[str, Overfitting] = MappingProxyType({}),
) -> RegisteredVersion:
    """Make a version champion because a person says so; what the gate says of it is recorded and stays its verdict."""
    verdict = verdict_on(version, evaluations, registry.champion(version.market), skill=skill, tried=tried)
    override = Override(
        by=by,
        time=now.isoformat(),
        reason=reason,
        gate="passed" if verdict.promote else "unproven",
        gate_reasons=list(verdict.reasons),
    )
    told = {"promote": verdict.promote, "reasons": verdict.reasons}
    return registry.promote(version, alias="champion", verdict=told, override=override)


def newest_version(registry: Registry, market: str, candidate: Candidate) -> RegisteredVersion:
    """The registered version behind a candidate; raises `NoModel` when it has been deleted."""
    for version in registry.versions(market, candidate.algorithm):
        if version.version == candidate.version:
            return version
    raise NoModel(
        f"version {candidate.version} of {candidate.algorithm} for {market} is gone from the registry: train it again"
    )

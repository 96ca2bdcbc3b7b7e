"""Model cards of versions that were evaluated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptobot_assets.domain.model_card import Facts, Judged, model_card
from cryptobot_assets.domain.promotion import Verdict
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import TUNED, RegisteredVersion
from cryptobot_assets.storage.registry_runs import read_run


def evaluated_card(
    registry: Registry, version: RegisteredVersion, report: Mapping[str, Any], best: str, verdict: Verdict
) -> str:
    """The card of a version whose algorithm the report holds.

    Args:
        best, verdict: the algorithm that the gate judged, and what it said.
    """
    run = read_run(registry, version)
    judged = version.algorithm == best
    facts = Facts(
        market=version.market,
        algorithm=version.algorithm,
        cutoff=version.cutoff.isoformat(),
        params=run.params,
        metrics=run.metrics,
        tags=run.tags,
        tuned=json.loads(run.tags.get(TUNED, "{}")),
    )
    return model_card(
        facts,
        Judged(
            figures=next(one for one in report["models"] if one["algorithm"] == version.algorithm),
            control=report["control"],
            promote=verdict.promote if judged else None,
            reasons=verdict.reasons if judged else (f"the best candidate is {best}",),
        ),
    )

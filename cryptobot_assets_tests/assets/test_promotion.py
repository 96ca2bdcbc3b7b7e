"""The champion: who reigns after a verdict, in every case."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from cryptobot_assets.assets.challenger import appoint
from cryptobot_assets.assets.promotion import crown
from cryptobot_assets.contracts.factories import CUTOFF
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.promotion import Candidate
from cryptobot_assets.domain.significance import Superiority
from cryptobot_assets.domain.trial_days import Overfitting
from cryptobot_assets.errors import NoModel
from cryptobot_assets.storage.registry_records import RegisteredVersion
from cryptobot_assets_tests.assets.test_predictions import make_version

ZERO = 1.0
GOOD, BETTER, BAD = 0.9, 0.8, 1.1
SKILLED = Superiority(1000, 0.001, ("lasso", "ridge", "xgboost"))


def make_evaluation(algorithm: str, mse: float, *, version: str = "1", mse_zero: float = ZERO) -> SimpleNamespace:
    """What the rule reads of an evaluation."""
    candidate = Candidate(algorithm=algorithm, version=version, rows=100, mse=mse, mse_zero=mse_zero, ic=0.1, net=1.2)
    return SimpleNamespace(algorithm=algorithm, candidate=candidate, control=SimpleNamespace(net=1.1))


@dataclass
class FakeRegistry:
    """Versions 1 and 2 of three algorithms, and aliases."""

    aliases: dict[str, RegisteredVersion] = field(default_factory=dict)

    def versions(self, market: str, algorithm: str) -> list[RegisteredVersion]:
        known = ("lasso", "ridge", "xgboost")
        return [
            make_version(number, CUTOFF + (number - 1) * DAY, algorithm=algorithm)
            for number in (1, 2)
            if algorithm in known
        ]

    def champion(self, market: str) -> RegisteredVersion | None:
        return self.aliases.get("champion")

    def challenger(self, market: str) -> RegisteredVersion | None:
        return self.aliases.get("challenger")

    def promote(self, version: RegisteredVersion, *, alias: str, verdict: dict[str, Any]) -> RegisteredVersion:
        tags = {
            "verdict": "passed" if verdict["promote"] else "unproven",
            "reasons": json.dumps(verdict["reasons"]),
            "source_name": version.name,
            "source_version": version.version,
        }
        self.aliases[alias] = replace(version, name=f"cryptobot-{version.market}", tags=tags)
        return self.aliases[alias]

    def reign(self, algorithm: str, *, promote: bool, version: int = 1) -> FakeRegistry:
        """This registry with such a champion."""
        made = make_version(version, CUTOFF + (version - 1) * DAY, algorithm=algorithm)
        self.promote(made, alias="champion", verdict={"promote": promote, "reasons": ["earlier"]})
        return self

    @property
    def holders(self) -> dict[str, tuple[str, str, str | None]]:
        """Algorithm, version and verdict behind each alias."""
        return {
            alias: (held.algorithm, held.source_version, held.verdict) for alias, held in sorted(self.aliases.items())
        }


def test_the_first_candidate_that_passes_reigns() -> None:
    registry = FakeRegistry()
    champion, verdict = crown(
        registry, "ALL", [make_evaluation("lasso", BAD), make_evaluation("ridge", GOOD)], skill=SKILLED
    )
    assert verdict.promote and champion.algorithm == "ridge"
    assert registry.holders == {"champion": ("ridge", "1", "passed"), "challenger": ("ridge", "1", "passed")}
    assert any("zero" in reason for reason in champion.reasons)


def test_when_none_passes_the_best_reigns_all_the_same_and_is_unproven() -> None:
    registry = FakeRegistry()
    champion, verdict = crown(
        registry, "ALL", [make_evaluation("lasso", 1.2), make_evaluation("ridge", BAD)], skill=SKILLED
    )
    assert not verdict.promote and "not below" in verdict.reasons[0]
    assert champion.reasons == list(verdict.reasons)
    assert registry.holders["champion"] == ("ridge", "1", "unproven")


def test_an_unproven_champion_gives_way_to_a_better_unproven_one() -> None:
    registry = FakeRegistry().reign("lasso", promote=False)
    crown(registry, "ALL", [make_evaluation("lasso", 1.2), make_evaluation("ridge", BAD)], skill=SKILLED)
    assert registry.holders["champion"] == ("ridge", "1", "unproven")


def test_an_unproven_champion_is_no_rival_of_one_that_passes() -> None:
    registry = FakeRegistry().reign("lasso", promote=False)
    _, verdict = crown(registry, "ALL", [make_evaluation("lasso", BAD), make_evaluation("ridge", GOOD)], skill=SKILLED)
    assert verdict.promote and not any("champion" in reason for reason in verdict.reasons)
    assert registry.holders["champion"] == ("ridge", "1", "passed")


def test_a_passed_champion_gives_way_to_a_lower_error() -> None:
    registry = FakeRegistry().reign("lasso", promote=True)
    _, verdict = crown(
        registry, "ALL", [make_evaluation("lasso", GOOD), make_evaluation("ridge", BETTER)], skill=SKILLED
    )
    assert verdict.promote and any("champion lasso" in reason for reason in verdict.reasons)
    assert registry.holders["champion"] == ("ridge", "1", "passed")


def test_a_passed_champion_stays_before_one_that_fails_and_the_candidate_is_challenger() -> None:
    registry = FakeRegistry().reign("lasso", promote=True)
    evaluations = [make_evaluation("lasso", 1.3), make_evaluation("ridge", BAD)]
    champion, verdict = crown(registry, "ALL", evaluations, skill=SKILLED)
    assert not verdict.promote and champion.algorithm == "lasso"
    assert registry.holders == {"champion": ("lasso", "1", "passed"), "challenger": ("ridge", "1", "unproven")}


def test_a_passed_champion_stays_before_one_whose_error_is_no_lower() -> None:
    registry = FakeRegistry().reign("lasso", promote=True)
    evaluations = [make_evaluation("lasso", 0.5, mse_zero=0.52), make_evaluation("ridge", GOOD)]
    champion, verdict = crown(registry, "ALL", evaluations, skill=SKILLED)
    assert not verdict.promote, "ridge gains more on zero, on harder rows; its error is the larger"
    assert champion.algorithm == "lasso" and registry.holders["challenger"][0] == "ridge"


def test_a_newer_version_of_the_champion_succeeds_it_when_it_passes() -> None:
    registry = FakeRegistry().reign("ridge", promote=True)
    crown(
        registry, "ALL", [make_evaluation("lasso", GOOD), make_evaluation("ridge", BETTER, version="2")], skill=SKILLED
    )
    assert registry.holders["champion"] == ("ridge", "2", "passed")


def test_a_newer_version_of_the_champion_that_fails_leaves_the_older() -> None:
    registry = FakeRegistry().reign("ridge", promote=True)
    champion, verdict = crown(registry, "ALL", [make_evaluation("ridge", BAD, version="2")], skill=SKILLED)
    assert not verdict.promote
    assert (champion.algorithm, champion.source_version) == ("ridge", "1")
    assert registry.holders["challenger"] == ("ridge", "2", "unproven")


def test_what_was_trained_since_becomes_challenger_and_stays_it_until_it_can_be_judged() -> None:
    registry = FakeRegistry().reign("ridge", promote=True)
    appointed, _ = appoint(registry, "ALL", CUTOFF + DAY)
    assert (appointed.algorithm, appointed.source_version) == ("ridge", "2")
    waiting = ("ridge", "2", "unproven")
    assert registry.holders == {"challenger": waiting, "champion": ("ridge", "1", "passed")}
    old = [make_evaluation("lasso", BAD), make_evaluation("ridge", GOOD)]
    crown(registry, "ALL", old, skill=SKILLED)
    assert registry.holders["challenger"] == waiting, "no row of it has an outcome"
    crown(registry, "ALL", [make_evaluation("lasso", GOOD), make_evaluation("ridge", BAD, version="2")], skill=SKILLED)
    assert registry.holders["challenger"] == ("lasso", "1", "passed"), "judged, and another is better"


@pytest.mark.parametrize(
    ("champion", "cutoff", "why"),
    [
        (None, CUTOFF + DAY, "nobody reigns yet"),
        (("ridge", 2), CUTOFF + DAY, "the champion knows as much: ridge version 2"),
        (("ridge", 1), CUTOFF + 9 * DAY, "ridge, was not trained as of this cutoff"),
    ],
)
def test_a_challenger_must_know_more_and_be_of_the_same_algorithm(
    champion: tuple[str, int] | None, cutoff: datetime, why: str
) -> None:
    registry = FakeRegistry()
    if champion:
        registry.reign(champion[0], promote=True, version=champion[1])
    appointed, told = appoint(registry, "ALL", cutoff)
    assert appointed is None and why in told and "challenger" not in registry.aliases


def test_skill_comes_before_a_lower_error() -> None:
    registry = FakeRegistry()
    evaluations = [make_evaluation("lasso", BETTER), make_evaluation("ridge", GOOD)]
    _, verdict = crown(registry, "ALL", evaluations, skill=Superiority(1000, 0.001, ("ridge",)))
    assert verdict.promote
    assert registry.holders["champion"] == ("ridge", "1", "passed")


def test_a_champion_that_a_person_made_stays_and_the_verdict_says_so() -> None:
    registry = FakeRegistry().reign("lasso", promote=False)
    held = registry.aliases["champion"]
    override = {"by": "ann@desk", "time": "2025-01-02T03:04:05+00:00", "reason": "calmer", "gate": "unproven",
                "gate_reasons": []}  # fmt: skip
    registry.aliases["champion"] = replace(held, tags={**held.tags, "override": json.dumps(override)})
    evaluations = [make_evaluation("lasso", BAD), make_evaluation("ridge", GOOD)]
    champion, verdict = crown(registry, "ALL", evaluations, skill=SKILLED)
    assert verdict.promote, "what the gate says is not hidden"
    assert champion.algorithm == "lasso" and champion.verdict == "unproven"
    assert registry.holders == {"champion": ("lasso", "1", "unproven"), "challenger": ("ridge", "1", "passed")}
    told = verdict.reasons[-1]
    assert "ann@desk made it champion on 2025-01-02 03:04 UTC, over the gate: calmer" in told
    assert "ridge version 1" in told and "--by-gate" in told


def test_what_the_number_of_trials_leaves_is_quoted_and_not_judged() -> None:
    tried = {name: Overfitting(0.4, 0.1, 0.2, 160, 0.55) for name in ("lasso", "ridge")}
    evaluations = [make_evaluation("lasso", BAD), make_evaluation("ridge", GOOD)]
    champion, verdict = crown(FakeRegistry(), "ALL", evaluations, skill=SKILLED, tried=tried)
    assert verdict.promote
    assert champion.reasons[-1] == tried["ridge"].told("ridge")
    assert "luckiest of 160 trials" in champion.reasons[-1] and "55%" in champion.reasons[-1]


def test_the_same_again_changes_nothing() -> None:
    registry = FakeRegistry()
    evaluations = [make_evaluation("lasso", GOOD), make_evaluation("ridge", BETTER)]
    crown(registry, "ALL", evaluations, skill=SKILLED)
    before = registry.holders
    crown(registry, "ALL", evaluations, skill=SKILLED)
    assert registry.holders == before


def test_a_candidate_gone_from_the_registry_is_told() -> None:
    with pytest.raises(NoModel, match="version 7 of ridge for ALL is gone"):
        crown(FakeRegistry(), "ALL", [make_evaluation("ridge", GOOD, version="7")], skill=SKILLED)

"""Every opening of the holdout: a run of its own in the registry, never changed once it has its figures.

Openings are numbered, and each holds the digest of the one before it, so that one that was deleted or
altered is missed once another has followed it. An opening is written down before any outcome is
read: one that fails counts too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from cryptobot_assets.storage.registry import Registry

EXPERIMENT = "holdout"
ENTRY, FIGURES = "entry", "figures"
FIRST = "none"
MOST_OPENINGS = 10_000


@dataclass(frozen=True, kw_only=True)
class Opening:
    """One opening.

    Attributes:
        number: from 1 on, over all markets. time: UTC, ISO. by: user@host. commit: of the code.
        holdout_from: first day, ISO. previous: digest of the opening before.
        figures: by algorithm, empty where the evaluation did not end.
    """

    number: int
    time: str
    by: str
    commit: str
    market: str
    holdout_from: str
    reason: str
    previous: str
    figures: Mapping[str, Any]

    @property
    def entry(self) -> str:
        """What was written down before an outcome was read, as JSON."""
        return json.dumps({**asdict(self), "figures": {}}, sort_keys=True)

    @property
    def digest(self) -> str:
        """SHA-256 of the opening and its figures."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def read_openings(registry: Registry) -> list[Opening]:
    """Every opening, oldest first."""
    with registry.plain_errors():
        held = registry.client.get_experiment_by_name(f"cryptobot-{EXPERIMENT}")
        runs = registry.client.search_runs([held.experiment_id], max_results=MOST_OPENINGS) if held else []
        tags = [run.data.tags for run in runs if ENTRY in run.data.tags]
    found = [replace(Opening(**json.loads(one[ENTRY])), figures=json.loads(one.get(FIGURES, "{}"))) for one in tags]
    return sorted(found, key=lambda one: one.number)


def begin_opening(registry: Registry, **facts: str) -> tuple[str, Opening]:
    """Write an opening down; returns its run and itself. `facts` are its fields but for number, previous, figures."""
    before = read_openings(registry)
    number, previous = (before[-1].number + 1, before[-1].digest) if before else (1, FIRST)
    made = Opening(number=number, previous=previous, figures={}, **facts)
    with registry.plain_errors():
        run = registry.client.create_run(
            registry.experiment(EXPERIMENT), run_name=f"opening {number}", tags={ENTRY: made.entry}
        )
    return run.info.run_id, made


def end_opening(registry: Registry, run_id: str, opening: Opening, figures: Mapping[str, Any]) -> Opening:
    """Add the figures; the opening as it stands from now on."""
    with registry.plain_errors():
        registry.client.set_tag(run_id, FIGURES, json.dumps(figures))
        registry.client.set_terminated(run_id)
    return replace(opening, figures=figures)


def find_breaks(openings: list[Opening]) -> list[int]:
    """Numbers of openings that do not follow the one before them: something was deleted or altered."""
    expected, broken, number = FIRST, [], 0
    for one in openings:
        if one.previous != expected or one.number != number + 1:
            broken.append(one.number)
        expected, number = one.digest, one.number
    return broken


def openings_in_words(registry: Registry, holdout_from: date) -> str:
    """How often the holdout was opened, for a report."""
    times = len(read_openings(registry))
    told = "has never been opened" if not times else f"was opened {times} time{'s' * (times > 1)}"
    return f"Outcomes from {holdout_from} on are held out of every figure here; the holdout {told}."

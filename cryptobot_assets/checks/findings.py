"""A check of a run: a true sentence about what it wrote, and the places where the sentence does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

MOST_PLACES = 20


@dataclass(frozen=True)
class Check:
    """A sentence that should be true of an asset.

    Attributes:
        name: the sentence.
        description: what it means, and what to do where it does not hold.
        blocking: whether nothing further down may be made of rows of which it is not true.
        severity: `WARN` where the rows may be right all the same.
    """

    name: str
    description: str
    blocking: bool = False
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR


def specs(checks: Sequence[Check], asset: str) -> list[dg.AssetCheckSpec]:
    """The checks as an asset declares them."""
    return [
        dg.AssetCheckSpec(one.name, asset=asset, description=one.description, blocking=one.blocking) for one in checks
    ]


class Findings:
    """What the checks of one run have found so far."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks
        self._found: dict[str, int] = {one.name: 0 for one in checks}
        self._places: dict[str, list[str]] = {one.name: [] for one in checks}
        self.rows = 0
        """How many rows were looked at."""

    def add(self, check: str, places: pl.DataFrame) -> None:
        """Places (currency, time, further columns) where the check's sentence does not hold."""
        self._found[check] += places.height
        room = MOST_PLACES - len(self._places[check])
        self._places[check] += [_told(place) for place in places.head(room).iter_rows(named=True)]

    def join(self, other: Findings) -> None:
        """Count what the same checks found elsewhere."""
        self.rows += other.rows
        for name, found in other._found.items():
            self._found[name] += found
            self._places[name] += other._places[name][: MOST_PLACES - len(self._places[name])]

    def holds(self, *checks: str) -> bool:
        """Whether these sentences have held everywhere so far."""
        return not any(self._found[name] for name in checks)

    def results(self, asset: str) -> list[dg.AssetCheckResult]:
        """One result a check."""
        return [self._result(one, asset) for one in self._checks]

    def _result(self, check: Check, asset: str) -> dg.AssetCheckResult:
        found, places = self._found[check.name], self._places[check.name]
        figures: dict[str, Any] = {"rows_looked_at": self.rows, "found": found}
        if found:
            figures["places"] = dg.MetadataValue.md(_listed(places, found))
        return dg.AssetCheckResult(
            asset_key=asset,
            check_name=check.name,
            passed=not found,
            severity=check.severity,
            metadata=figures,
            description=f"not so in {found:,} place{'s' * (found > 1)}, first {places[0]}" if found else None,
        )


def _listed(places: Iterable[str], found: int) -> str:
    lines = [f"- {place}" for place in places]
    return "\n".join([*lines, *([f"- and {found - len(lines)} more"] if found > len(lines) else [])])


def _told(place: Mapping[str, object]) -> str:
    """A place as `BTCUSDT 2024-05-13 07:00, close 0.1`."""
    rest = [f"{name} {value}" for name, value in place.items() if name not in ("currency", "time")]
    return ", ".join([f"{place['currency']} {place['time']:%Y-%m-%d %H:%M}", *rest])

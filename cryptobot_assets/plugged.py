"""Features and allocation rules by name: ours, and those that other packages bring."""

from __future__ import annotations

from datetime import timedelta

from cryptobot_assets.domain.allocation import AllocationRule
from cryptobot_assets.domain.features import DerivedFeature, is_stored, lag_hours
from cryptobot_assets.domain.intervals import DAY, HOUR
from cryptobot_assets.domain.relative import RELATIVE_FEATURES
from cryptobot_assets.domain.rules import OWN_RULES
from cryptobot_assets.plugins import Catalogue

LONGEST = 99 * DAY
"""How far back a feature may read: as the longest indicator does."""


def _feature_fault(name: str, part: object) -> str | None:
    if not isinstance(part, DerivedFeature):
        return "it is no cryptobot_assets.domain.features.DerivedFeature"
    if part.name != name:
        return f"it calls itself {part.name!r}"
    if is_stored(name) or lag_hours(name) is not None or name in RELATIVE_FEATURES:
        return "the platform has taken that name: choose another"
    if not timedelta(0) < part.lookback <= LONGEST or part.lookback % HOUR:
        return "its lookback must be whole hours, at least one and at most 99 days"
    return None if callable(part.figure) else "its figure cannot be called"


def _rule_fault(name: str, part: object) -> str | None:
    if not isinstance(part, AllocationRule):
        return "it is no cryptobot_assets.domain.allocation.AllocationRule"
    if part.name != name:
        return f"it calls itself {part.name!r}"
    return None if callable(part.make) else "its `make` cannot be called"


FEATURES: Catalogue[DerivedFeature] = Catalogue("cryptobot_assets.features", "feature", ours={}, check=_feature_fault)
"""Features that are computed on read; stored indicators, lags and ranks are the platform's own."""

RULES: Catalogue[AllocationRule] = Catalogue(
    "cryptobot_assets.allocation_rules", "allocation rule", ours=OWN_RULES, check=_rule_fault
)
"""Allocation rules: reports show them all, and the paper bot follows one."""

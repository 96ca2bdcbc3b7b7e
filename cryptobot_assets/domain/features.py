"""Model inputs by name: stored indicators, and lags of the close derived on read.

`close_lag_<h>h` of row t is close(t - h hours) / close(t) - 1: what the price of h hours ago is
relative to now, known when the row is. Other features are stored indicator columns, or derived on read
by a `DerivedFeature` that another package brings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from cryptobot_assets.domain.indicators import INDICATOR_NAMES, INDICATORS
from cryptobot_assets.domain.intervals import HOUR
from cryptobot_assets.errors import UsageError

LAG_HOURS: tuple[int, ...] = (*range(1, 650, 24), 672)
DEFAULT_FEATURES: tuple[str, ...] = (
    "close_minmax_scale",
    "ma7_25h_scale",
    "ma25_99h_scale",
    "ma7_25d_scale",
    *(f"close_lag_{hours}h" for hours in LAG_HOURS),
)

_LAG = re.compile(r"^close_lag_(\d+)h$")
_LOOKBACKS = {indicator.name: indicator.lookback for indicator in INDICATORS}


@lru_cache(maxsize=1024)
def lag_hours(feature: str) -> int | None:
    """Hours of a lag feature, None for an indicator.

    >>> lag_hours("close_lag_25h"), lag_hours("rsi_14h")
    (25, None)
    """
    match = _LAG.match(feature)
    return int(match.group(1)) if match else None


@dataclass(frozen=True)
class DerivedFeature:
    """A feature computed on read, of the closes of one currency.

    Attributes:
        lookback: span that a row reads, `(t - lookback, t]`, in whole hours.
        figure: of closes (hours, rows an hour), oldest first, NaN where none is stored, the values of the same
            shape, NaN where not known. An hour earlier is one place earlier on the first axis.
    """

    name: str
    lookback: timedelta
    figure: Callable[[np.ndarray], np.ndarray]


Derived = Mapping[str, DerivedFeature]
NONE: Derived = MappingProxyType({})


def is_stored(feature: str) -> bool:
    """Whether a feature is a stored column."""
    return feature in INDICATOR_NAMES


def require_features(features: Iterable[str], derived: Derived = NONE) -> tuple[str, ...]:
    """The features as a tuple when each can be computed; raises `UsageError` otherwise."""
    features = tuple(features)
    unknown = [name for name in features if not is_stored(name) and lag_hours(name) is None and name not in derived]
    if unknown or not features:
        raise UsageError(
            f"unknown features: {', '.join(unknown) or 'none given'}; another package may bring them: install it"
        )
    return features


def lookback(features: Iterable[str], derived: Derived = NONE) -> timedelta:
    """How far before a row its features read, `(t - lookback, t]`; a lag of h hours reads t - h itself.

    Raises:
        UsageError: one of them is unknown.
    """
    return max(_lookback_of(name, derived) for name in require_features(features, derived))


def _lookback_of(feature: str, derived: Derived) -> timedelta:
    hours = lag_hours(feature)
    if hours is not None:
        return (hours + 1) * HOUR
    return _LOOKBACKS[feature] if is_stored(feature) else derived[feature].lookback

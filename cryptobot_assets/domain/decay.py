"""Whether a model still lives in the market it learned: its features, its errors, its intervals. The home of river.

- **features**: are the newest days unlike the training rows? The population stability index (see
  `drift`), meaned over the features, and of each feature the Kolmogorov-Smirnov distance too. Rows
  are a day apart, and still depend on each other far too much for textbook limits. So the newest
  days are ranked among the training span's own stretches of as many days, each held against the
  rest of the span: of n + 1 stretches of an unchanged market the newest is the most unlike once in
  n + 1 times.
- **errors**: did the error, beside that of predicting zero, change for the worse? ADWIN and
  Page-Hinkley over one value a day, whose labels do not overlap.

Over an unchanged market of ten currencies with fat tails Page-Hinkley raises a false alarm in 2 of
100 years and ADWIN in none of 300; in those in which predictions turn to noise at half time, both
find it (`test_decay.py` draws a part of that).

References: Bifet and Gavalda, Learning from Time-Changing Data with Adaptive Windowing (2007); Page,
Continuous Inspection Schemes (1954).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryptobot_assets.domain.drift import stability_index

ALARM = 0.05
"""Share of looks at an unchanged market in which features may be called changed."""
LARGE_INDEX = 0.25
"""Mean index below which a change is small by the custom of those who use it."""
ADWIN_DELTA = 0.002
FIRST_DAYS = 30
"""Days by which the usual error is known; no change is told before they have passed."""
ALLOWED, LIMIT = 0.5, 12.0
"""Page-Hinkley, in deviations of the first days: what is borne a day, and what adds up to an alarm."""
LARGEST = 4.0
"""Deviations that one day counts at most."""


@dataclass(frozen=True)
class Shift:
    """One feature: population stability index and Kolmogorov-Smirnov distance of the newest rows."""

    feature: str
    index: float
    distance: float


@dataclass(frozen=True)
class FeatureChange:
    """The newest days beside the training rows.

    Attributes:
        index: mean stability index over the features.
        usual: the same of each stretch of the training span against the rest of it.
        p: share of all stretches, the newest included, that are as unlike the rest as the newest.
        shifts: of each feature, the largest index first.
    """

    index: float
    usual: tuple[float, ...]
    p: float
    rows: int
    shifts: tuple[Shift, ...]

    @property
    def changed(self) -> bool:
        """Whether at most `ALARM` of stretches are so unlike the rest, and the shift is large."""
        return self.p <= ALARM and self.index > LARGE_INDEX


@dataclass(frozen=True)
class ErrorChange:
    """Where the errors were seen to get worse: places among the days, None where they were not.

    `before` and `after` are means of (error - zero's) / (error + zero's), up to the first of them and from it on.
    """

    days: int
    adwin: int | None
    page_hinkley: int | None
    before: float
    after: float

    @property
    def worsened(self) -> bool:
        """Whether either detector saw it."""
        return self.adwin is not None or self.page_hinkley is not None


def feature_change(
    features: Sequence[str], stretches: Sequence[np.ndarray], newest: np.ndarray
) -> FeatureChange | None:
    """The newest rows beside the training span's stretches; None where a single one is all there is.

    Args:
        stretches: (n, k) finite rows of each stretch of the training span, of as many days as the newest.
        newest: (m, k) rows known after it.
    """
    if len(stretches) < 2 or not len(newest):
        return None
    whole = np.vstack(stretches)
    usual = tuple(
        _mean_index(np.vstack([*stretches[:n], *stretches[n + 1 :]]), rows) for n, rows in enumerate(stretches)
    )
    shifts = [
        Shift(name, stability_index(whole[:, n], newest[:, n]), _distance(whole[:, n], newest[:, n]))
        for n, name in enumerate(features)
    ]
    index = float(np.mean([one.index for one in shifts]))
    p = (1 + sum(one >= index for one in usual)) / (1 + len(usual))
    return FeatureChange(index, usual, p, len(newest), tuple(sorted(shifts, key=lambda one: -one.index)))


def error_change(errors: np.ndarray, zeros: np.ndarray) -> ErrorChange | None:
    """Whether the error has worsened beside that of predicting zero; None of no more than `FIRST_DAYS`.

    Args:
        errors, zeros: (days,) mean squared error of each day's rows, and that of predicting zero.
    """
    if len(errors) <= FIRST_DAYS:
        return None
    relative = (errors - zeros) / np.maximum(errors + zeros, np.finfo(float).tiny)
    first = relative[:FIRST_DAYS]
    usual = np.clip((relative - np.median(first)) / max(float(first.std()), 1e-9), -LARGEST, LARGEST)
    adwin, hinkley = _adwin(usual), _page_hinkley(usual)
    found = min((place for place in (adwin, hinkley) if place is not None), default=len(relative))
    before = float(relative[:found].mean())
    return ErrorChange(
        len(errors), adwin, hinkley, before, float(relative[found:].mean()) if found < len(relative) else before
    )


def _adwin(values: np.ndarray) -> int | None:
    """The first place at which the mean rose; values are laid on [0, 1], which its bound wants."""
    from river.drift import ADWIN  # pandas comes with it: a second of imports that only this needs

    detector = ADWIN(delta=ADWIN_DELTA, clock=1)
    for place, value in enumerate((values / LARGEST + 1) / 2):
        before = detector.estimation
        detector.update(float(value))
        if detector.drift_detected and detector.estimation > before:
            return place
    return None


def _page_hinkley(values: np.ndarray) -> int | None:
    from river.drift import PageHinkley

    detector = PageHinkley(min_instances=FIRST_DAYS, delta=ALLOWED, threshold=LIMIT, alpha=1.0, mode="up")
    for place, value in enumerate(values):
        detector.update(float(value))
        if detector.drift_detected:
            return place
    return None


def _distance(reference: np.ndarray, values: np.ndarray) -> float:
    """Kolmogorov-Smirnov's: by how much the shares of values up to any one differ at most."""
    places = np.concatenate([reference, values])
    shares = [np.searchsorted(np.sort(one), places, side="right") / len(one) for one in (reference, values)]
    return float(np.abs(shares[0] - shares[1]).max())


def _mean_index(reference: np.ndarray, rows: np.ndarray) -> float:
    return float(np.mean([stability_index(reference[:, n], rows[:, n]) for n in range(rows.shape[1])]))

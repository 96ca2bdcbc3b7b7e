"""Checks of every training: what its fits were really handed, beside what they were tested on.

::

    fit rows   ####|--label--|
    test rows                  ====|--label--|          <- right: no label of one reaches a row of the other
    fit rows   ##########|--label--|
    test rows                  ====|--label--|          <- wrong: the fit knows returns of the test span

A model of which one of these sentences is not true is not registered.
"""

from __future__ import annotations

from datetime import datetime

import dagster as dg
import numpy as np
import polars as pl

from cryptobot_assets.checks.findings import Check, Findings, specs
from cryptobot_assets.domain.labels import HORIZON
from cryptobot_assets.domain.samples import Samples, label_end
from cryptobot_assets.models.witness import Seen, Witness

LABELS = Check(
    "labels_end_by_the_cutoff",
    "Every row that was fitted or tested has a label whose 24 hours were over at the cutoff.",
    blocking=True,
)
PURGE = Check(
    "fits_know_no_label_of_their_tests",
    "Of each fit, no row's label reaches into the rows it was tested on, nor do their labels reach into its rows.",
    blocking=True,
)
CUTS = Check(
    "currencies_are_cut_at_the_same_instants",
    "At an instant that a fold tests, every currency's rows are tested and none is fitted.",
    blocking=True,
)
APART = Check(
    "currencies_held_out_are_not_fitted",
    "Where a model is tested on currencies that it never saw, none of their rows is fitted.",
    blocking=True,
)
HANDED = Check(
    "scalers_know_training_rows_alone",
    "Every row handed to a fit or a test is a row of the training set as it was read, its label not another's, "
    "and the mean that a model scales by is that of the rows it was handed.",
    blocking=True,
)
AHEAD = Check(
    "features_know_no_later_kline",
    "The newest rows are what klines that were finished at their instant give by themselves. Where not, materialize "
    "the indicators again.",
    blocking=True,
)
TRAINING_CHECKS = (LABELS, PURGE, CUTS, APART, HANDED, AHEAD)

MOST_OFF_CENTRE = 1e-6
"""Standard deviations; what rounding gives lies far below."""

MOST_OTHER_LABELS = 0.06
"""Share of a fit's labels; cutting labels, at most their twentieth at an end, turns no more of them."""


def training_check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """Checks that a model asset makes of its own training."""
    return specs(TRAINING_CHECKS, asset)


def kept_results(asset: str) -> list[dg.AssetCheckResult]:
    """The results of a training that was done before: its version is registered, so it passed them all."""
    return [
        dg.AssetCheckResult(
            asset_key=asset, check_name=one.name, passed=True, description="of the same training, done before"
        )
        for one in TRAINING_CHECKS
    ]


class TrainingChecks:
    """The checks of one training, over the rows of its training set."""

    def __init__(self, samples: Samples, interval: str, cutoff: datetime) -> None:
        self._samples = samples
        self._label_end = label_end(samples.time, interval)
        self._cutoff = np.datetime64(cutoff.replace(tzinfo=None), "us")
        self._findings = Findings(TRAINING_CHECKS)

    @property
    def passed(self) -> bool:
        """Whether every sentence has held so far."""
        return self._findings.holds(*(one.name for one in TRAINING_CHECKS))

    def look_ahead(self, places: pl.DataFrame) -> None:
        """Take in the rows (currency, time, ...) whose features are not those of klines finished by then."""
        self._findings.add(AHEAD.name, places)

    def look_at(self, witness: Witness, *, apart: bool = False) -> None:
        """Look at every fit that a witness of the training set saw.

        Args:
            apart: the tests are of currencies that the fits should not have seen.
        """
        self._look_at_handed(witness)
        used = _union([seen for fit in witness.fits for seen in (fit.seen, *fit.tested)])
        tuned = _union([seen for fit in witness.fits if fit.tested for seen in (fit.seen, *fit.tested)])
        self._findings.rows += len(used)
        self._add(LABELS, used[self._label_end[used] > self._cutoff], "its label ends after the cutoff")
        pairs = {(id(fit.seen), id(test)): (fit.seen, test) for fit in witness.fits for test in fit.tested}
        for fitted, tested in pairs.values():
            self._look_at_purge(fitted.rows, tested.rows)
            if apart:
                self._look_at_currencies(fitted.rows, tested.rows)
            else:
                self._look_at_cuts(tested.rows, tuned)

    def _look_at_purge(self, fitted: np.ndarray, tested: np.ndarray) -> None:
        time = self._samples.time
        near = fitted[_within_horizon(time[fitted], np.unique(time[tested]))]
        self._add(PURGE, near, "fitted, within 24 hours of a row that tests the fit")

    def _look_at_currencies(self, fitted: np.ndarray, tested: np.ndarray) -> None:
        names = self._samples.currency.astype(str)
        known = np.isin(names[fitted], np.unique(names[tested]))
        self._add(APART, fitted[known], "fitted, of a currency that tests the fit")

    def _look_at_cuts(self, tested: np.ndarray, tuned: np.ndarray) -> None:
        time = self._samples.time
        instants = np.unique(time[tested])
        same = tuned[np.isin(time[tuned], instants)]
        self._add(CUTS, np.setdiff1d(same, tested), "not tested at an instant that is tested")

    def _look_at_handed(self, witness: Witness) -> None:
        unknown, labels, off = 0, 0.0, 0.0
        for fit in witness.fits:
            unknown = max(unknown, *(seen.unknown for seen in (fit.seen, *fit.tested)))
            labels, off = max(labels, fit.other_labels), max(off, fit.off_centre)
        wrong = [
            *([f"{unknown:,} rows of a call are not in the training set"] if unknown else []),
            *([f"{labels:.0%} of a fit's labels point the other way"] if labels > MOST_OTHER_LABELS else []),
            *([f"a scaler's mean is {off:.3g} deviations off its rows"] if off > MOST_OFF_CENTRE else []),
        ]
        if wrong:
            times = np.repeat(self._samples.time[-1:], len(wrong))
            self._findings.add(HANDED.name, pl.DataFrame({"currency": witness.name, "time": times, "what": wrong}))

    def _add(self, check: Check, rows: np.ndarray, what: str) -> None:
        if len(rows):
            chosen = self._samples.take(rows)
            places = {"currency": chosen.currency.astype(str), "time": chosen.time, "what": [what] * len(rows)}
            self._findings.add(check.name, pl.DataFrame(places))

    def told(self) -> str:
        """The first thing that is wrong, one line."""
        failed = next((one for one in self.results("") if not one.passed), None)
        return f"{failed.check_name}: {failed.description}" if failed else "every check holds"

    def results(self, asset: str) -> list[dg.AssetCheckResult]:
        """One result a check."""
        return self._findings.results(asset)


def _union(parts: list[Seen]) -> np.ndarray:
    distinct = {id(one): one.rows for one in parts}
    return np.unique(np.concatenate([np.empty(0, np.int64), *distinct.values()]))


def _within_horizon(times: np.ndarray, instants: np.ndarray) -> np.ndarray:
    """Which times have one of the sorted instants less than a label's length before or after them."""
    if not len(instants):
        return np.zeros(len(times), dtype=bool)
    reach = np.timedelta64(HORIZON)
    after = np.searchsorted(instants, times)
    next_one, previous = instants[np.minimum(after, len(instants) - 1)], instants[np.maximum(after - 1, 0)]
    ahead = (after < len(instants)) & (next_one - times < reach)
    behind = (after > 0) & (times - previous < reach)
    apart: np.ndarray = ahead | behind
    return apart

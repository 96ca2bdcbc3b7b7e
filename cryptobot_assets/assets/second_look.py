"""The estimates that every training makes of its chosen parameters beside tuning's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from cryptobot_assets.assets.training_set import TrainingSet
from cryptobot_assets.checks.training import TrainingChecks
from cryptobot_assets.errors import NotEnoughHistory
from cryptobot_assets.models.base import Params
from cryptobot_assets.models.preparation import fit_prepared
from cryptobot_assets.models.second_look import Fit, as_metrics, chosen_instants, look_at_paths, look_at_strangers
from cryptobot_assets.models.witness import Witness
from cryptobot_assets.settings import Settings


def second_look(
    witness: Witness, training_set: TrainingSet, params: Params, settings: Settings, checks: TrainingChecks
) -> Mapping[str, float | None]:
    """Figures of the chosen parameters on combinatorial folds and on currencies held out, audited like tuning.

    Empty where the settings leave it out; figures for which there is too little history are None.
    """
    if not settings.second_look_rows:
        return {}
    tuned = min(len(training_set.samples), settings.max_tuning_rows)
    chosen = chosen_instants(training_set.samples.time, rows=settings.second_look_rows, tuned=tuned)
    rows = training_set.rows.take(chosen)
    among, apart = witness.afresh(), witness.afresh()
    try:
        embargo = timedelta(hours=settings.embargo_hours)
        paths = look_at_paths(_fit(among, params, settings), rows, embargo=embargo)
    except NotEnoughHistory:
        paths = []
    try:
        strangers = look_at_strangers(_fit(apart, params, settings), rows, folds=settings.folds)
    except NotEnoughHistory:
        strangers = None
    checks.look_at(among)
    checks.look_at(apart, apart=True)
    return as_metrics(paths, strangers)


def _fit(witness: Witness, params: Params, settings: Settings) -> Fit:
    return lambda rows: fit_prepared(witness, rows, params=params, seed=settings.seed)

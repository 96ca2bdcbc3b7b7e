"""What a training is, told before it starts: the record by which it is found, resumed and done again."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from cryptobot_assets.assets.training_set import TrainingSet
from cryptobot_assets.domain.labels import HORIZON_HOURS, PREDICTION_DEFINITION
from cryptobot_assets.models.algorithms import ALGORITHMS, trials_of
from cryptobot_assets.models.starting_point import NOWHERE, StartingPoint
from cryptobot_assets.plugged import FEATURES
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry_records import (
    CURRENCIES,
    DIGEST,
    STARTING_POINT,
    STORE_VERSION,
    TRAINING_SETTINGS,
    Training,
)

CODE_VERSION = "2"
REASON_TAG = "cryptobot/reason"
"""Tag of a Dagster run that drift or decay asked for: why."""
ASKED_BY, ASKED_BECAUSE = "asked_by", "asked_because"
"""Tags of a training: the sensor or schedule that asked for it, and why where it said so."""
DECISIVE = (
    "interval", "seed", "trials", "folds", "train_days", "train_stride_minutes", "max_training_rows", "max_tuning_rows",
    "holdout_from",
)  # fmt: skip
"""Settings on which a training's outcome depends."""


def describe(
    algorithm: str,
    market: str,
    cutoff: datetime,
    training_set: TrainingSet,
    settings: Settings,
    *,
    tags: dict[str, str],
    start: StartingPoint = NOWHERE,
) -> Training:
    """The training's record before it starts; its fingerprint covers all that decides the outcome.

    Args:
        tags: what else its run is to carry.
        start: the values that its tuning tries first.
    """
    samples = training_set.samples
    params = {
        "features": ",".join(samples.features),
        "start_time": f"{samples.time[0]}Z",
        "end_time": f"{samples.time[-1]}Z",
        "training_rows": min(len(samples), settings.max_training_rows),
        "tuning_rows": min(len(samples), settings.max_tuning_rows),
        "rows_before_thinning": len(samples),
        "rows_lacking_a_feature": training_set.dropped,
        "horizon_hours": HORIZON_HOURS,
        "prediction_definition": PREDICTION_DEFINITION,
        "trials": trials_of(algorithm, settings.trials),
        "folds": settings.folds,
        "seed": settings.seed,
        "interval": settings.interval,
        "train_stride_minutes": settings.train_stride_minutes,
        **({"holdout_from": f"{settings.holdout_from}"} if settings.holdout_from else {}),
        **_other_packages(algorithm, samples.features),
    }
    decisive = [algorithm, market, cutoff.isoformat(), training_set.digest, params, CODE_VERSION]
    decisive += [dict(start.values)] if start.values else []
    return Training(
        market=market,
        algorithm=algorithm,
        cutoff=cutoff,
        fingerprint=hashlib.sha256(json.dumps(decisive).encode()).hexdigest(),
        params=params,
        tags={**tags, **_recipe(settings, training_set, start)},
        start=start,
    )


def _other_packages(algorithm: str, features: Iterable[str]) -> dict[str, str]:
    """Packages, with their versions, that bring the algorithm or some of its features; nothing where all is ours."""
    origins = [ALGORITHMS.origin(algorithm), *(FEATURES.origin(name) for name in features if name in FEATURES)]
    found = sorted({str(one) for one in origins if not one.is_ours})
    return {"packages": ", ".join(found)} if found else {}


def _recipe(settings: Settings, training_set: TrainingSet, start: StartingPoint) -> dict[str, str]:
    """Tags by which the same training can be done again (see `retraining`)."""
    return {
        STORE_VERSION: training_set.store_version,
        DIGEST: training_set.digest,
        CURRENCIES: ",".join(training_set.currencies),
        TRAINING_SETTINGS: json.dumps(settings.model_dump(mode="json", include=set(DECISIVE))),
        **({STARTING_POINT: json.dumps(start.to_json())} if start.values else {}),
    }


def asked(run_tags: Mapping[str, str]) -> dict[str, str]:
    """Who asked for a training and why, as its tags, of the tags of the Dagster run that does it."""
    by = run_tags.get("dagster/sensor_name") or run_tags.get("dagster/schedule_name") or "a person or a command"
    return {ASKED_BY: by} | ({ASKED_BECAUSE: run_tags[REASON_TAG]} if REASON_TAG in run_tags else {})


def git_commit(settings: Settings) -> str:
    """Commit of the running code: what an image was built of, else what git says, `unknown` outside a checkout."""
    git = shutil.which("git")
    if settings.commit or git is None:
        return settings.commit or "unknown"
    answer = subprocess.run(
        [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else "unknown"

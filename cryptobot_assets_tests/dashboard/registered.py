"""A trained version of a market in a real registry, promoted twice."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.domain.labels import PREDICTION_DEFINITION
from cryptobot_assets.models.algorithms import ALGORITHMS
from cryptobot_assets.models.card import ModelCard, warmup
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.registry_records import CURRENCIES, Override, RegisteredVersion, Training

FEATURES = ("close_lag_1h", "close_lag_25h")
UNPROVEN = {"promote": False, "reasons": ["no more than luck"]}
PASSED = {"promote": True, "reasons": ["below predicting zero", "more than luck"]}


def register(registry: Registry, *, cutoff: datetime, currencies: tuple[str, ...]) -> RegisteredVersion:
    """A small ridge that knows nothing."""
    X = np.random.default_rng(0).normal(0, 0.01, (50, len(FEATURES)))
    ridge = ALGORITHMS["ridge"]
    model = ridge.fit(X, X[:, 0], params={name: one.default for name, one in ridge.space.items()}, seed=0)
    card = ModelCard(
        algorithm="ridge", market="ALL", cutoff=cutoff, interval="1h", features=FEATURES, horizon_hours=24,
        prediction=PREDICTION_DEFINITION, residual_quantiles={"0.05": -0.03, "0.95": 0.04}, **warmup(model, X[:3]),
    )  # fmt: skip
    training = Training(
        market="ALL",
        algorithm="ridge",
        cutoff=cutoff,
        fingerprint="one",
        params={
            "features": ",".join(FEATURES),
            "start_time": f"{START:%Y-%m-%dT%H:%M:%S}Z",
            "end_time": f"{cutoff:%Y-%m-%dT%H:%M:%S}Z",
        },
        tags={CURRENCIES: ",".join(currencies)},
    )
    with registry.training_run(training) as run:
        return run.finish(model, card, params={}, metrics={}, plots={}, tables={})


def promote_twice(registry: Registry, version: RegisteredVersion) -> None:
    """By a person first, over the gate, and then by the gate."""
    override = Override(
        by="ann", time=START.isoformat(), reason="a trial", gate="unproven", gate_reasons=UNPROVEN["reasons"]
    )
    registry.promote(version, alias="champion", verdict=UNPROVEN, override=override)
    registry.promote(version, alias="champion", verdict=PASSED)

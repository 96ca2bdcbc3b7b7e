"""FastAPI's own way with the same model: a typed body and reply, the model in process.

Run by `benchmarks/servers.py` with uvicorn; `BARE_MODEL` names the model's folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from cryptobot_assets.models.loading import load_scorer


class Rows(BaseModel):
    """Body of `/predict_features`."""

    rows: list[dict[str, float]]


class Predictions(BaseModel):
    """Reply of `/predict_features`."""

    predicted_return: list[float]


def make_app() -> FastAPI:
    """The app; uvicorn calls it in the process that serves."""
    scorer, app = load_scorer(Path(os.environ["BARE_MODEL"])), FastAPI()

    @app.post("/predict_features")
    async def predict_features(body: Rows) -> Predictions:
        X = np.array([[row[name] for name in scorer.features] for row in body.rows])
        return Predictions(predicted_return=scorer.predict(X).tolist())

    return app

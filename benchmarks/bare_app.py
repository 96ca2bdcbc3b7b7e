"""The least a service can do with the same model: Starlette, msgspec, the model in process, nothing checked.

Run by `benchmarks/serving.py` with uvicorn; `BARE_MODEL` names the model's folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cryptobot_assets.models.loading import load_scorer


class Rows(msgspec.Struct):
    """Body of `/predict_features`."""

    rows: list[dict[str, float]]


def make_app() -> Starlette:
    """The app; uvicorn calls it in the process that serves."""
    scorer = load_scorer(Path(os.environ["BARE_MODEL"]))
    decoder, encoder = msgspec.json.Decoder(Rows), msgspec.json.Encoder()

    async def predict_features(request: Request) -> Response:
        rows = decoder.decode(await request.body()).rows
        X = np.array([[row[name] for name in scorer.features] for row in rows])
        return Response(encoder.encode({"predicted_return": scorer.predict(X).tolist()}), media_type="application/json")

    return Starlette(routes=[Route("/predict_features", predict_features, methods=["POST"])])

"""Who is let into the MLflow server, and that the account for reading only reads. MLflow loads this in its process.

MLflow's own permissions are of single models and experiments, and let whoever has an account make new
ones, which the prediction service would then find. So the reader is held to requests that change nothing.
"""

from __future__ import annotations

from typing import Any

from mlflow.server import auth

from cryptobot_assets.storage.mlflow_access import READER, only_reads


def authenticate() -> Any:
    """The account behind the request that is being answered, or the reply that refuses it."""
    found = auth.authenticate_request_basic_auth()
    reader = getattr(found, "username", None) == READER
    if reader and not only_reads(auth.request.method, auth.request.path):
        return auth.make_forbidden_response()
    return found

"""Who is let into the MLflow server, and that the account for reading only reads. MLflow loads this in its process.

MLflow's own permissions are of single models and experiments, and let whoever has an account make new
ones, which the prediction service would then find. So the reader is held to requests that change nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from mlflow.environment_variables import MLFLOW_AUTH_CONFIG_PATH
from mlflow.server import auth

from cryptobot_assets.storage.mlflow_access import ADMIN, READER, WRITER, only_reads, read_accounts

KINDS = ("experiment", "registered_model")
"""What the writer may change, whoever made it."""
_making = Lock()


def authenticate() -> Any:
    """The account behind the request that is being answered, or the reply that refuses it."""
    with _making:
        _make_accounts()
    found = auth.authenticate_request_basic_auth()
    reader = getattr(found, "username", None) == READER
    if reader and not only_reads(auth.request.method, auth.request.path):
        return auth.make_forbidden_response()
    return found


@cache
def _make_accounts() -> None:
    """Before the first request, give every account the password that its file has now."""
    passwords = read_accounts(Path(MLFLOW_AUTH_CONFIG_PATH.get()).parent)
    for name in (ADMIN, WRITER, READER):
        if not auth.store.has_user(name):
            auth.store.create_user(name, passwords[name], is_admin=name == ADMIN)
        elif not auth.store.authenticate_user(name, passwords[name]):
            auth.store.update_user(name, password=passwords[name])
    for kind in KINDS:
        auth.store.grant_user_permission(WRITER, kind, "*", auth.MANAGE.name)

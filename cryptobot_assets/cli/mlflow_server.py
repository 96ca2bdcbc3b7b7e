"""How the MLflow server is started; importing this costs nothing."""

from __future__ import annotations

import sys

from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.mlflow_access import Access


def mlflow_command(
    settings: Settings, database: str, port: int, *, host: str = "127.0.0.1", access: Access | None = None
) -> tuple[list[str], dict[str, str]]:
    """Arguments, and the variables to add to the environment, of an MLflow server over the registry's database.

    With `access` it demands credentials.
    The database's password is in the environment alone: arguments can be read by everyone on the machine.
    """
    argv = [
        sys.executable, "-m", "mlflow", "server", "--artifacts-destination", settings.artifacts_address,
        "--host", host, "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    environment = {"MLFLOW_BACKEND_STORE_URI": database, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    if access is None:
        return argv, environment
    return [*argv, *access.server_options()], environment | access.server_environment()

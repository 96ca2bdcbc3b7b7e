"""Secrets that lie in files, as containers and service managers hand them over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptobot_assets.errors import UsageError

SECRETS = (
    "CRYPTOBOT_API_KEY",
    "CRYPTOBOT_METADATA_URL",
    "CRYPTOBOT_STORE_URL",
    "CRYPTOBOT_ALERT_WEBHOOK",
    "CRYPTOBOT_ALERT_SMTP",
    "CRYPTOBOT_MLFLOW_WRITER_PASSWORD",
    "CRYPTOBOT_MLFLOW_READER_PASSWORD",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
"""Variables whose value may be in the file that the variable of that name and `_FILE` names."""


def secrets_in_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that files hold, by their own names; blanks around a value do not count.

    Raises:
        UsageError: a file cannot be read or is empty, or the variable is set beside it.
    """
    return {
        name: _read(name, environment[f"{name}_FILE"], beside=environment.get(name))
        for name in SECRETS
        if environment.get(f"{name}_FILE")
    }


def _read(name: str, path: str, *, beside: str | None) -> str:
    try:
        value = Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"setting {name}_FILE: {path} cannot be read ({reason})") from error
    if not value:
        raise UsageError(f"setting {name}_FILE: {path} is empty")
    if beside and beside != value:
        raise UsageError(f"set {name} or {name}_FILE, not both")
    return value

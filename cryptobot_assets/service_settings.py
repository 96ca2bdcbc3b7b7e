"""Settings of the prediction service and of the registry it asks; `settings.py` reads them from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class ServiceSettings(BaseSettings):
    """Fields of `Settings`, which inherits them; never built by itself."""

    api_key: str | None = Field(None, description="when set, the prediction service demands it, or a key of the file")
    api_keys_file: Path | None = Field(
        None, description="file of the hashed keys that `cryptobot key new` makes; when set, one of them is demanded"
    )
    rate_limit: int = Field(
        0, ge=0, le=1_000_000, description="requests a minute of one key that the service answers; 0 for any number"
    )
    service_port: int = Field(3000, ge=0, le=65_535, description="prediction service")
    service_url: str = Field("", description="where the dashboard finds the prediction service; empty: on this machine")
    service_workers: int = Field(1, ge=1, le=64, description="processes of the prediction service")
    service_market: str = Field("ALL", description="the market whose champion the service serves")
    challenger_share: float = Field(
        0.0, ge=0, le=1, description="share of the requests that the challenger answers; it scores the others in shadow"
    )
    stale_hours: float = Field(
        0.0, ge=0, description="age of the newest features from which the service answers 503; 0 for any age"
    )
    mlflow_access: bool = Field(
        False, description="whether the platform's MLflow server demands credentials, and the service only reads"
    )
    mlflow_writer_password: str | None = Field(
        None, min_length=12, description="password of MLflow's account for what trains and promotes; unset: drawn"
    )
    mlflow_reader_password: str | None = Field(
        None, min_length=12, description="password of MLflow's account that changes nothing; unset: drawn"
    )

    @property
    def mlflow_passwords(self) -> dict[str, str]:
        """Passwords that are given for accounts of MLflow, by account."""
        given = {"writer": self.mlflow_writer_password, "reader": self.mlflow_reader_password}
        return {name: password for name, password in given.items() if password}

    @property
    def service_address(self) -> str:
        """Where the prediction service answers: the setting, or its port on this machine."""
        return self.service_url.rstrip("/") or f"http://127.0.0.1:{self.service_port}"

    @field_validator("api_keys_file")
    @classmethod
    def _absolute_file(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

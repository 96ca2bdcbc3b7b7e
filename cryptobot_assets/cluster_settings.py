"""The part of the settings that says where heavy work is spread; `settings.py` reads them from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class ClusterSettings(BaseSettings):
    """Fields of `Settings`, which inherits them; never built by itself."""

    cluster_url: str | None = Field(
        None,
        pattern=r"^(tcp|tls)://[^/\s]+:\d+$",
        description="scheduler of the workers that heavy steps are spread over; unset for the run's process alone",
    )
    cluster_ca_file: Path | None = Field(None, description="authority (PEM) that scheduler and workers are checked by")
    cluster_cert_file: Path | None = Field(None, description="certificate (PEM) of this process for a tls:// cluster")
    cluster_key_file: Path | None = Field(None, description="its key (PEM)")

    @field_validator("cluster_ca_file", "cluster_cert_file", "cluster_key_file")
    @classmethod
    def _absolute_pem(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

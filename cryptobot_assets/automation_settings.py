"""The part of the settings that schedules, sensors and alerts go by; `settings.py` reads them from the environment."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

EMAIL_PATTERN = re.compile(r"^[^@\s,<>]+@[^@\s,<>]+$")
CRON_PATTERN = r"^\s*[\d*][\d*/,-]*(\s+[\d*A-Za-z][\d*/,A-Za-z-]*){4}\s*$"


def is_address(text: str, schemes: tuple[str, ...]) -> bool:
    """Whether the text is an address of one of these schemes, with a host and, where there is one, a usable port."""
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


class AutomationSettings(BaseSettings):
    """Fields of `Settings`, which inherits them; never built by itself."""

    automation: bool = Field(
        False, description="whether schedules and sensors run by themselves; `cryptobot up` says yes unless told"
    )
    ingestion_cron: str = Field("0 0,12 * * *", pattern=CRON_PATTERN, description="when klines are ingested (UTC)")
    indicators_cron: str = Field(
        "0 1,13 * * *", pattern=CRON_PATTERN, description="when indicators are made that did not follow their klines"
    )
    evaluation_cron: str = Field("0 2 * * *", pattern=CRON_PATTERN, description="when models are evaluated and judged")
    training_cron: str = Field("0 3 * * 1", pattern=CRON_PATTERN, description="when models are trained anew")
    backup_cron: str = Field("30 2 * * *", pattern=CRON_PATTERN, description="when everything is backed up")
    maintenance_cron: str = Field("30 4 * * 0", pattern=CRON_PATTERN, description="when the store has its upkeep")
    served_cron: str = Field(
        "10 * * * *", pattern=CRON_PATTERN, description="when served predictions are stored, and what became of them"
    )
    sensor_seconds: int = Field(30, ge=1, le=3_600, description="seconds between two looks of a sensor")
    catch_up_days: int = Field(35, ge=1, le=400, description="days back that a tick fills when they are missing")
    retries: int = Field(3, ge=0, le=20, description="further tries of a run after a fault that may pass")
    retry_seconds: float = Field(
        10.0, ge=0, le=3_600, description="pause before the first of them; each later one is twice as long"
    )
    freshness_hours: float = Field(
        14.0, gt=0, description="age of a currency's newest kline from which people are told"
    )
    alert_webhook: SecretStr | None = Field(None, description="address that messages are posted to, as JSON")
    alert_smtp: SecretStr | None = Field(None, description="mail server: smtp://user:password@host:587, or smtps://...")
    alert_email: Annotated[tuple[str, ...], NoDecode] = Field((), description="comma list of people who get messages")
    alert_from: str | None = Field(None, description="sender of those e-mails; the first of those people when unset")
    webserver_url: str | None = Field(None, description="where people open Dagster's pages; unset means this machine")

    @field_validator("alert_email", mode="before")
    @classmethod
    def _split_people(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("alert_email")
    @classmethod
    def _require_mail_server(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if bad := [one for one in value if not EMAIL_PATTERN.match(one)]:
            raise ValueError(f"not an e-mail address: {', '.join(bad)}")
        if value and info.data.get("alert_smtp", "") is None:
            raise ValueError("name the mail server too, CRYPTOBOT_ALERT_SMTP=smtp://user:password@host:587")
        return value

    @field_validator("alert_webhook", "alert_smtp")
    @classmethod
    def _require_address(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """The value may hold a secret, so that errors show none of it."""
        schemes = ("smtp", "smtps") if info.field_name == "alert_smtp" else ("https", "http")
        if value is not None and not is_address(value.get_secret_value(), schemes):
            raise ValueError(f"write {schemes[0]}://host/... (what stands there is not shown, it may be a secret)")
        return value

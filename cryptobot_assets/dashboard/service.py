"""The prediction service as it is now, asked with little patience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from cryptobot_assets.settings import Settings

PATIENCE_SECONDS = 2.0
START = "Start it with `cryptobot up`, or look into `logs/prediction-service.log` of the home."


@dataclass(frozen=True)
class ServiceState:
    """What the service said.

    Attributes:
        told: one line; where something is wrong, what to do.
        models: `models` of `GET /models`. registry: what it says of its registry.
    """

    url: str
    answers: bool
    ready: bool
    told: str
    models: Sequence[Mapping[str, Any]] = ()
    registry: Mapping[str, Any] = field(default_factory=dict)


def look_at_service(settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS) -> ServiceState:
    """Ask `/readyz` and `/models` of the service the settings name; never raises for what it does or says."""
    url = settings.service_address
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    with requests.Session() as session:
        session.trust_env = False
        try:
            ready = session.get(f"{url}/readyz", timeout=patience_seconds)
            listing = session.get(f"{url}/models", timeout=patience_seconds, headers=headers)
            said, listed = ready.json(), listing.json()
        except (requests.RequestException, ValueError) as error:
            return ServiceState(url, False, False, f"Nothing answers at {url} ({type(error).__name__}). {START}")
    if ready.status_code != 200:
        return ServiceState(url, True, False, f"{url} answers, but serves nothing yet: {_reason(said)}")
    if listing.status_code != 200:
        return ServiceState(url, True, True, f"{url} serves, but does not list its models: {_reason(listed)}")
    trouble = listed.get("registry", {}).get("error")
    told = f"{url} serves. {trouble}." if trouble else f"{url} serves, and follows the registry."
    return ServiceState(url, True, True, told, listed.get("models", ()), listed.get("registry", {}))


def _reason(body: Any) -> str:
    error = body.get("error", {}) if isinstance(body, dict) else {}
    return str(error["message"]) if isinstance(error, dict) and "message" in error else "no reason given"

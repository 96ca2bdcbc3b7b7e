"""The prediction service as the command line starts and asks it."""

from __future__ import annotations

import os
from typing import Any

import requests

from cryptobot_assets.errors import ProcessError
from cryptobot_assets.processes import Supervisor, free_port
from cryptobot_assets.serving.command import service_command
from cryptobot_assets.settings import Settings

ASK_SECONDS = 30


def start_service(settings: Settings, supervisor: Supervisor, *, port: int | None) -> str:
    """Start the service, on a free port when None; returns its URL once a model is loaded."""
    chosen = free_port() if port is None else port
    argv, environment = service_command(settings, chosen)
    url = f"http://127.0.0.1:{chosen}"
    supervisor.start(
        "prediction service",
        argv,
        env={**os.environ, **environment},
        log_path=settings.home / "logs" / "service.log",
        ready=f"{url}/readyz",
    )
    return url


def ask(url: str, request: dict[str, Any], *, api_key: str | None = None) -> dict[str, Any]:
    """The service's reply to `POST /predict`; raises `ProcessError` on any other than 200."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        answer = requests.post(f"{url}/predict", json=request, headers=headers, timeout=ASK_SECONDS)
    except requests.RequestException as error:
        raise ProcessError(f"the prediction service at {url} did not answer: {type(error).__name__}") from error
    if answer.status_code != 200:
        raise ProcessError(f"the prediction service refused {request}: HTTP {answer.status_code} {answer.text[:300]}")
    reply: dict[str, Any] = answer.json()
    return reply

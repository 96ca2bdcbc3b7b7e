"""Messages by webhook: one HTTP POST of JSON each."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from cryptobot_assets.alerts.book import Message
from cryptobot_assets.errors import AlertNotSent

TIMEOUT_SECONDS = 10.0


class Webhook:
    """Posts to one address. The address often holds a token: no error names more of it than the host."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.name = f"webhook at {urlsplit(url).hostname}"

    def send(self, message: Message) -> None:
        """See `Channel.send`; anything but an answer of 2xx is a failure."""
        try:
            answer = requests.post(self._url, json=body_of(message), timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.Timeout:
            raise AlertNotSent(f"{self.name} did not answer within {TIMEOUT_SECONDS:.0f} s") from None
        except requests.RequestException as error:
            raise AlertNotSent(f"{self.name} cannot be reached ({type(error).__name__})") from None
        if not 200 <= answer.status_code < 300:
            raise AlertNotSent(f"{self.name} refused the message: HTTP {answer.status_code}")


def body_of(message: Message) -> dict[str, Any]:
    """The JSON posted: the text under the names that chat servers show, and its parts for programs."""
    problem = message.problem
    return {
        "text": message.text,
        "content": message.text,
        "state": message.state,
        "title": message.title,
        "cause": problem.cause,
        "reason": problem.reason,
        "advice": problem.advice,
        "subjects": list(problem.subjects),
        "links": list(problem.links),
        "since": message.since.isoformat(),
        "at": message.at.isoformat(),
    }

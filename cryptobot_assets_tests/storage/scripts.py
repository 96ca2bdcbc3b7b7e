"""Scripted answers of a server, for what the project's own exchange cannot do."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptobot_assets.storage.weight import Budget

Answer = tuple[int, dict[str, str], bytes]


class Sleeps(list):
    """Stands in for sleeping: keeps what was asked for, and moves a clock of its own on."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)

    def seconds(self) -> float:
        """What that clock shows."""
        return 1000.0 + sum(self)


def on_clock_of(sleeps: Sleeps, url: str) -> dict[str, Any]:
    """Options of a client that waits by the clock of `sleeps`."""
    return {"sleep": sleeps, "budget": Budget(url, seconds=sleeps.seconds)}


class Script:
    """Answers of a server by path; each call takes the next one, the last one again and again."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    def next(self, target: str) -> Answer:
        parts = urlsplit(target)
        name = parts.path.rsplit("/", 1)[-1]
        self.asked.append((name, {key: values[0] for key, values in parse_qs(parts.query).items()}))
        left = self.answers[name]
        return left.pop(0) if len(left) > 1 else left[0]


def ok(body: object, **headers: str) -> Answer:
    return 200, headers, json.dumps(body).encode()

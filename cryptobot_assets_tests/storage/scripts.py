"""Scripted answers of a server, for what the project's own exchange cannot do."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes]


class Sleeps(list):
    """Stands in for sleeping; keeps what was asked for."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


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

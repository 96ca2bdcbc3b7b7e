"""What `deploy` holds for Prometheus and Grafana: panels, rules, and the metrics that their expressions name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
VARIABLES = {"$__rate_interval": "1m", "$market": "ALL"}
SELECTOR = re.compile(r"\b((?:cryptobot_\w+|up))(\{[^}]*\})?")
RARE = re.compile(r'status[=!]~?"')
"""Of selectors that need not give anything while all is well."""


@dataclass(frozen=True)
class Panel:
    """A panel of a dashboard, with what its queries ask once Grafana has put values in place of its variables."""

    dashboard: str
    json: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.dashboard}: {self.json['title']}"

    @property
    def expressions(self) -> list[str]:
        return [filled_in(target["expr"]) for target in self.json["targets"]]


def filled_in(expression: str) -> str:
    """An expression as Grafana sends it."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels() -> Iterator[Panel]:
    """Every panel that shows something."""
    for name, dashboard in dashboards().items():
        yield from (Panel(name, panel) for panel in dashboard["panels"] if panel["type"] != "row")


def selectors(expression: str) -> set[str]:
    """The series that an expression reads: metrics with their matchers."""
    return {"".join(found) for found in SELECTOR.findall(expression)}


def lacking(answers: dict[str, int]) -> set[str]:
    """Selectors that gave nothing and should have."""
    return {selector for selector, series in answers.items() if not series and not RARE.search(selector)}

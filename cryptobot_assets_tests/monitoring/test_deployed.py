"""Alerts lead to what to do, panels say what they show, and both name metrics that are told."""

from __future__ import annotations

import inspect
import re

import pytest

from cryptobot_assets import errors
from cryptobot_assets.errors import CryptobotError
from cryptobot_assets.monitoring.families import FAMILIES
from cryptobot_assets_tests.monitoring.deployed import ROOT, RULES, Panel, dashboards, panels, selectors

RUNBOOK = ROOT / "docs" / "runbook.md"
SHOWN_NOWHERE = {
    "cryptobot_asset_run_timestamp_seconds",
    "cryptobot_tick_timestamp_seconds",
    "cryptobot_spool_files",
}
"""For those who ask: another metric of the same thing is shown."""
ALERT = re.compile(r"- alert: (\w+)\n(.*?)(?=\n      - alert:|\Z)", re.DOTALL)


def entries() -> dict[str, str]:
    """Entries of the runbook by their heading."""
    parts = re.split(r"^### (\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def alerts() -> dict[str, str]:
    """Bodies of the alert rules by their name."""
    found = [ALERT.findall(path.read_text()) for path in sorted(RULES.glob("*.yml"))]
    return {name: body for rules in found for name, body in rules}


def test_every_alert_says_how_bad_it_is_and_leads_to_its_entry() -> None:
    assert len(alerts()) > 30
    for name, body in alerts().items():
        assert re.search(r"severity: (critical|warning|info)$", body, re.MULTILINE), name
        assert f"runbook_url: docs/runbook.md#{name.lower()}" in body
        assert re.search(r'summary: "[^"]{10,}', body), name


def test_the_runbook_has_an_entry_for_every_alert_and_every_error_and_no_other() -> None:
    classes = [
        one.__name__ for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, CryptobotError)
    ]
    held = entries()
    assert sorted(held) == sorted([*alerts(), *classes])
    for name, text in held.items():
        assert "**Means" in text and "**Do:**" in text, name
        assert all(other in held for other in re.findall(r"\bCryptobot[A-Z]\w+", text)), name


@pytest.mark.parametrize("panel", list(panels()), ids=lambda panel: panel.name)
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: Panel) -> None:
    assert len(panel.json["title"]) > 1
    assert panel.json["description"].endswith(".")
    assert panel.json["fieldConfig"]["defaults"]["unit"]
    assert panel.expressions
    assert panel.json["datasource"]["uid"] == "cryptobot-prometheus"


def test_panels_of_a_dashboard_have_titles_and_places_of_their_own() -> None:
    for name, dashboard in dashboards().items():
        shown = [panel["title"] for panel in dashboard["panels"] if panel["type"] != "row"]
        assert len(shown) == len(set(shown)), name
        cells = [cell for panel in dashboard["panels"] for cell in cells_of(panel["gridPos"])]
        assert len(cells) == len(set(cells)), f"panels of {name} overlap"


def cells_of(place: dict[str, int]) -> list[tuple[int, int]]:
    assert place["x"] + place["w"] <= 24
    return [(place["x"] + column, place["y"] + row) for column in range(place["w"]) for row in range(place["h"])]


def test_every_metric_of_the_exporter_is_shown_or_alerted_on() -> None:
    read = {one for panel in panels() for text in panel.expressions for one in selectors(text)}
    read |= {one for body in alerts().values() for one in selectors(body)}
    assert FAMILIES.keys() - {one.partition("{")[0] for one in read} == SHOWN_NOWHERE

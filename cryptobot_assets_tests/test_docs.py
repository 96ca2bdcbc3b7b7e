"""The docs are true to the code: pictures drawn from it, every variable named, every link leads somewhere."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.filterwarnings(
    "ignore::dagster._utils.warnings.BetaWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)


@pytest.fixture(scope="module")
def graph() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_asset_graph.py"))


def test_the_asset_graph_is_that_of_the_code(graph: dict[str, Any]) -> None:
    drawn = graph["draw"](graph["read_assets"]())
    assert (DOCS / "asset_graph.svg").read_text() == drawn, "run python docs/make_asset_graph.py"


def test_the_asset_graph_draws_every_asset_and_every_dependency(tmp_path: Path) -> None:
    assets = build_definitions(Settings.load(home=tmp_path)).resolve_asset_graph()
    picture = ElementTree.parse(DOCS / "asset_graph.svg")
    names = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}text") if one.get("class") == "name"]
    edges = [one for one in picture.iter("{http://www.w3.org/2000/svg}path") if one.get("class") == "edge"]
    assert sorted(names) == sorted(key.to_user_string() for key in assets.get_all_asset_keys())
    assert len(edges) == sum(len(node.parent_keys) for node in assets.asset_nodes)


def test_boxes_of_the_asset_graph_do_not_touch(graph: dict[str, Any]) -> None:
    boxes = list(graph["place"](graph["read_assets"]()).values())
    for box in boxes:
        assert all(
            other is box or abs(box.x - other.x) > graph["WIDTH"] or abs(box.y - other.y) > graph["HEIGHT"]
            for other in boxes
        )


@pytest.fixture(scope="module")
def architecture() -> dict[str, Any]:
    made = runpy.run_path(str(DOCS / "make_architecture.py"))
    return {**made, "graph": made["read_imports"]()}


def test_the_picture_of_the_parts_is_that_of_the_code(architecture: dict[str, Any]) -> None:
    drawn = architecture["draw"](architecture["graph"])
    assert (DOCS / "architecture.svg").read_text() == drawn, "run python docs/make_architecture.py"


def test_every_part_stands_above_all_it_imports(architecture: dict[str, Any]) -> None:
    graph = architecture["graph"]
    boxes = architecture["place"](architecture["rows_of"](graph))
    assert {"cli", "domain", "storage"} < set(boxes) == set(graph)
    assert all(boxes[part].y < boxes[below].y for part in graph for below in graph[part])


def test_the_page_on_architecture_tells_what_every_part_is_for(architecture: dict[str, Any]) -> None:
    cells = re.findall(r"^\| (`.*?) \|", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(architecture["graph"])


def test_the_licence_is_the_one_that_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    title = " ".join((ROOT / "LICENSE").read_text().split()[:5])
    assert (declared, title) == ("Apache-2.0", "Apache License Version 2.0, January")


def test_every_target_that_contributors_are_told_of_exists() -> None:
    told = set(
        re.findall(r"`?make ([a-z]+)", (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "README.md").read_text())
    )
    assert told <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) and "dev" in told


def test_every_variable_stands_in_the_settings_and_none_that_is_not_read() -> None:
    told = set(re.findall(r"\bCRYPTOBOT_[A-Z0-9_]+", (DOCS / "settings.md").read_text()))
    read = {f"CRYPTOBOT_{name.upper()}" for name, field in Settings.model_fields.items() if not field.validation_alias}
    assert read <= told, "name them in docs/settings.md"
    assert told <= read, "docs/settings.md names what nothing reads"


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"

"""Pictures in the docs that are drawn from the code equal what the code draws now."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.settings import Settings

DOCS = Path(__file__).resolve().parents[1] / "docs"
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
    picture = ET.parse(DOCS / "asset_graph.svg")
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

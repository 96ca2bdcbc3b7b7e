"""Draw the asset graph of the code as docs/asset_graph.svg: `python docs/make_asset_graph.py`.

One column a layer (the longest way from an asset without parents), one colour a group. An edge that
passes by whole layers goes below them.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import dagster as dg

from cryptobot_assets.definitions import build_definitions
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.settings import Settings

PICTURE = Path(__file__).with_name("asset_graph.svg")
WIDTH, HEIGHT, ROW_GAP, COLUMN_GAP, MARGIN = 172, 46, 12, 64, 24
LEGEND_HEIGHT, LEGEND_STEP, BYPASS_GAP = 44, 128, 20
COLOURS = ("#dbeafe", "#dcfce7", "#fef3c7", "#fae8ff", "#ffe4e6", "#e0e7ff", "#ccfbf1", "#ffedd5")
STROKES = ("#2563eb", "#15803d", "#b45309", "#a21caf", "#be123c", "#4338ca", "#0f766e", "#c2410c")
FONT = "font-family='ui-sans-serif, Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class Asset:
    """What is drawn of one asset."""

    name: str
    group: str
    partitions: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    """Where an asset is drawn: its layer and the top left corner."""

    layer: int
    x: float
    y: float

    @property
    def entry(self) -> tuple[float, float]:
        """Where edges arrive."""
        return self.x, self.y + HEIGHT / 2

    @property
    def exit(self) -> tuple[float, float]:
        """Where edges leave."""
        return self.x + WIDTH, self.y + HEIGHT / 2


def read_assets() -> list[Asset]:
    """The assets of a deployment at 1m, in order of name."""
    settings = Settings.load(home=PICTURE.parent, interval="1m", partition="day")
    partitions = Partitions(settings)
    graph = build_definitions(settings).resolve_asset_graph()
    return [
        Asset(
            name=node.key.to_user_string(),
            group=node.group_name,
            partitions=partitioned_by(node.partitions_def, partitions),
            parents=tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
        )
        for node in sorted(graph.asset_nodes, key=lambda node: node.key)
    ]


def partitioned_by(definition: dg.PartitionsDefinition | None, partitions: Partitions) -> str:
    """Names of the dimensions, as `currency x day`."""
    if definition is None:
        return "not partitioned"
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return " \N{MULTIPLICATION SIGN} ".join(definition.partition_dimension_names)
    return {partitions.market_partitions: "market", partitions.months: "month"}[definition]


def layers_of(assets: list[Asset]) -> dict[str, int]:
    """The longest way to each asset from one without parents, in edges; order is that of the layers."""
    parents = {asset.name: asset.parents for asset in assets}

    def depth(name: str) -> int:
        return max((depth(parent) + 1 for parent in parents[name]), default=0)

    return dict(sorted(((name, depth(name)) for name in parents), key=lambda pair: pair[1]))


def place(assets: list[Asset]) -> dict[str, Box]:
    """A box for each asset, columns centred on a line."""
    layers = layers_of(assets)
    columns = [[name for name in layers if layers[name] == layer] for layer in range(max(layers.values()) + 1)]
    tallest = max(map(len, columns))
    boxes = {}
    for layer, names in enumerate(columns):
        top = LEGEND_HEIGHT + MARGIN + (tallest - len(names)) * (HEIGHT + ROW_GAP) / 2
        for row, name in enumerate(names):
            boxes[name] = Box(layer, MARGIN + layer * (WIDTH + COLUMN_GAP), top + row * (HEIGHT + ROW_GAP))
    return boxes


def draw(assets: list[Asset]) -> str:
    """The picture as SVG text."""
    boxes = place(assets)
    groups = list(dict.fromkeys(asset.group for asset in sorted(assets, key=lambda one: boxes[one.name].layer)))
    floor = max(box.y for box in boxes.values()) + HEIGHT + BYPASS_GAP
    width = max(box.x for box in boxes.values()) + WIDTH + MARGIN
    edges = [(boxes[parent], boxes[asset.name]) for asset in assets for parent in asset.parents]
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {floor + MARGIN:g}' "
        f"width='{width:g}' height='{floor + MARGIN:g}' role='img' aria-label='The asset graph'>",
        "<style>text{fill:#0f172a} .small{font-size:11px;fill:#475569} .name{font-size:13px;font-weight:600} "
        ".edge{fill:none;stroke:#94a3b8;stroke-width:1.3}</style>",
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7.5' refY='4' markerWidth='6' markerHeight='6' orient='auto'>"
        "<path d='M0 0 L8 4 L0 8 z' fill='#94a3b8'/></marker></defs>",
        f"<rect width='100%' height='100%' rx='8' fill='#ffffff'/><g {FONT}>",
        *(legend(group, number) for number, group in enumerate(groups)),
        *(f"<path class='edge' marker-end='url(#tip)' d='{way(*edge, floor)}'/>" for edge in edges),
        *(box_of(asset, boxes[asset.name], groups.index(asset.group)) for asset in assets),
        "</g></svg>",
    ]
    return "\n".join(lines) + "\n"


def way(source: Box, target: Box, floor: float) -> str:
    """Path of an edge: straight across to the next layer, below everything when it passes a layer by."""
    (x0, y0), (x1, y1) = source.exit, target.entry
    half = COLUMN_GAP / 2
    if target.layer == source.layer + 1:
        return f"M{x0:g} {y0:g} C{x0 + half:g} {y0:g} {x1 - half:g} {y1:g} {x1:g} {y1:g}"
    down, up = x0 + COLUMN_GAP, x1 - COLUMN_GAP
    return (
        f"M{x0:g} {y0:g} C{x0 + half:g} {y0:g} {x0 + half:g} {floor:g} {down:g} {floor:g} "
        f"L{up:g} {floor:g} C{x1 - half:g} {floor:g} {x1 - half:g} {y1:g} {x1:g} {y1:g}"
    )


def box_of(asset: Asset, box: Box, number: int) -> str:
    """One asset: its name and what it is partitioned by."""
    colour, stroke = COLOURS[number % len(COLOURS)], STROKES[number % len(STROKES)]
    middle = box.x + WIDTH / 2
    return (
        f"<rect x='{box.x:g}' y='{box.y:g}' width='{WIDTH}' height='{HEIGHT}' rx='7' fill='{colour}' "
        f"stroke='{stroke}'/>"
        f"<text class='name' x='{middle:g}' y='{box.y + 20:g}' text-anchor='middle'>{escape(asset.name)}</text>"
        f"<text class='small' x='{middle:g}' y='{box.y + 36:g}' text-anchor='middle'>{escape(asset.partitions)}</text>"
    )


def legend(group: str, number: int) -> str:
    """A group's colour and name."""
    x = MARGIN + number * LEGEND_STEP
    return (
        f"<rect x='{x:g}' y='{MARGIN}' width='14' height='14' rx='3' fill='{COLOURS[number % len(COLOURS)]}' "
        f"stroke='{STROKES[number % len(STROKES)]}'/>"
        f"<text class='small' x='{x + 20:g}' y='{MARGIN + 11}'>{escape(group)}</text>"
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(read_assets()))

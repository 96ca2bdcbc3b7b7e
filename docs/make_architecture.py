"""Draw the parts of the package and what they import as docs/architecture.svg: `python docs/make_architecture.py`.

A part is a module or a folder of `cryptobot_assets`. One row a floor: a part stands one above the highest it
imports. An import that others imply (through a part between) is not drawn.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PICTURE = Path(__file__).with_name("architecture.svg")
PACKAGE = PICTURE.parents[1] / "cryptobot_assets"
WIDTH, HEIGHT, COLUMN_GAP, ROW_GAP, MARGIN = 144, 30, 12, 34, 20
SWEEPS = 4
FONT = "font-family='ui-sans-serif, Helvetica, Arial, sans-serif'"
KINDS = {
    "pure": ("#dcfce7", "#15803d", {"domain", "errors"}),
    "outside world": ("#dbeafe", "#2563eb", {"storage", "alerts", "exchange", "processes", "home", "secret_files"}),
    "models": ("#fae8ff", "#a21caf", {"models", "audit"}),
    "Dagster": ("#fef3c7", "#b45309", {"assets", "checks", "automation", "definitions", "resources", "partitions"}),
    "what people meet": ("#ffe4e6", "#be123c", {"cli", "serving", "dashboard", "page", "monitoring", "contracts"}),
}
OTHER = ("#f1f5f9", "#64748b")

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Box:
    """Where a part is drawn: the top left corner."""

    x: float
    y: float

    @property
    def top(self) -> tuple[float, float]:
        """Where edges arrive from above."""
        return self.x + WIDTH / 2, self.y

    @property
    def bottom(self) -> tuple[float, float]:
        """Where edges leave downwards."""
        return self.x + WIDTH / 2, self.y + HEIGHT


def read_imports() -> Graph:
    """The parts that each part imports; a folder is one part."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "__init__.py":
            part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
            found.setdefault(part, set()).update(imported_parts(path))
    return {part: frozenset(names - {part}) for part, names in found.items()}


def imported_parts(path: Path) -> set[str]:
    """Parts that a module imports anywhere."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE.name}.")}


def everything_below(graph: Graph) -> Graph:
    """Every part that each part stands on, directly or not."""
    found: dict[str, frozenset[str]] = {}
    for part in sorted(graph, key=floors_of(graph).__getitem__):
        found[part] = graph[part].union(*(found[one] for one in graph[part]))
    return found


def floors_of(graph: Graph) -> dict[str, int]:
    """The floor of each part: the longest way down from it, in imports."""

    @cache
    def height(part: str) -> int:
        return max((height(below) + 1 for below in graph[part]), default=0)

    return {part: height(part) for part in graph}


def drawn_edges(graph: Graph) -> list[tuple[str, str]]:
    """Imports that no other implies."""
    below = everything_below(graph)
    return [
        (part, one)
        for part in graph
        for one in sorted(graph[part])
        if not any(one in below[other] for other in graph[part] if other != one)
    ]


def rows_of(graph: Graph) -> list[list[str]]:
    """Parts floor by floor, lowest first, each near the middle of those it is joined to."""
    floors, edges = floors_of(graph), drawn_edges(graph)
    rows = [[part for part in graph if floors[part] == floor] for floor in range(max(floors.values()) + 1)]
    joined = {part: [b if a == part else a for a, b in edges if part in (a, b)] for part in graph}
    for _ in range(SWEEPS):
        places = {part: place - len(row) / 2 for row in rows for place, part in enumerate(row)}
        for row in rows:
            row.sort(key=lambda part: sum(places[one] for one in joined[part]) / max(len(joined[part]), 1))
    return rows


def place(rows: list[list[str]]) -> dict[str, Box]:
    """A box for each part, the highest floor on top, rows centred on a line."""
    widest = max(map(len, rows)) * (WIDTH + COLUMN_GAP)
    boxes = {}
    for floor, row in enumerate(rows):
        left = MARGIN + (widest - len(row) * (WIDTH + COLUMN_GAP)) / 2
        y = 2 * MARGIN + 20 + (len(rows) - 1 - floor) * (HEIGHT + ROW_GAP)
        boxes |= {part: Box(left + number * (WIDTH + COLUMN_GAP), y) for number, part in enumerate(row)}
    return boxes


def draw(graph: Graph) -> str:
    """The picture as SVG text."""
    boxes = place(rows_of(graph))
    width = max(box.x for box in boxes.values()) + WIDTH + MARGIN
    height = max(box.y for box in boxes.values()) + HEIGHT + MARGIN
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' width='{width:g}' "
        f"height='{height:g}' role='img' aria-label='The parts of the package and what they import'>",
        "<style>text{fill:#0f172a} .small{font-size:11px;fill:#475569} .name{font-size:12px;font-weight:600} "
        ".edge{fill:none;stroke:#94a3b8;stroke-width:1}</style>",
        f"<rect width='100%' height='100%' rx='8' fill='#ffffff'/><g {FONT}>",
        *(legend(kind, number) for number, kind in enumerate([*KINDS, "the rest"])),
        *(f"<path class='edge' d='{way(boxes[above], boxes[below])}'/>" for above, below in drawn_edges(graph)),
        *(box_of(part, box) for part, box in boxes.items()),
        "</g></svg>",
    ]
    return "\n".join(lines) + "\n"


def way(above: Box, below: Box) -> str:
    """Path of an edge, straight down at both of its ends."""
    (x0, y0), (x1, y1) = above.bottom, below.top
    bend = min(ROW_GAP, (y1 - y0) / 2)
    return f"M{x0:g} {y0:g} C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1:g}"


def box_of(part: str, box: Box) -> str:
    """One part by its name."""
    colour, stroke = next(((fill, line) for fill, line, parts in KINDS.values() if part in parts), OTHER)
    x, y = box.x + WIDTH / 2, box.y + HEIGHT / 2 + 4
    return (
        f"<rect x='{box.x:g}' y='{box.y:g}' width='{WIDTH}' height='{HEIGHT}' rx='6' fill='{colour}' "
        f"stroke='{stroke}'/><text class='name' x='{x:g}' y='{y:g}' text-anchor='middle'>{part}</text>"
    )


def legend(kind: str, number: int) -> str:
    """A kind's colour and name."""
    colour, stroke = KINDS[kind][:2] if kind in KINDS else OTHER
    x = MARGIN + number * 140
    return (
        f"<rect x='{x}' y='{MARGIN}' width='14' height='14' rx='3' fill='{colour}' stroke='{stroke}'/>"
        f"<text class='small' x='{x + 20}' y='{MARGIN + 11}'>{kind}</text>"
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(read_imports()))

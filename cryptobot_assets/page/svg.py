"""Charts as inline SVG: a plot area with axes, and the marks laid on it.

Colours are CSS classes of the page, so that a chart follows its light and dark themes. Every text is
escaped; numbers are written short, since a page holds tens of thousands of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from cryptobot_assets.page.axes import Axis

Values = np.ndarray | Sequence[float] | float
"""What an axis can tell the places of."""

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 68, 22, 12, 44


@dataclass
class Plot:
    """A plot area to lay marks on, in order; `svg` is the whole."""

    label: str
    x: Axis
    y: Axis
    height: int = HEIGHT
    left: int = LEFT
    marks: list[str] = field(default_factory=list)

    def at(self, xs: Values, ys: Values) -> tuple[np.ndarray, np.ndarray]:
        """Values of both axes as places in the picture."""
        right, bottom = WIDTH - RIGHT, self.height - BOTTOM
        return (
            self.left + self.x.share(xs) * (right - self.left),
            bottom - self.y.share(ys) * (bottom - TOP),
        )

    def line(self, xs: Values, ys: Values, style: str) -> Plot:
        """A line through points; it breaks where a value is not finite."""
        px, py = self.at(xs, ys)
        known = np.isfinite(px) & np.isfinite(py)
        parts, pen = [], "M"
        for x, y, here in zip(px, py, known, strict=True):
            if here:
                parts.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L" if here else "M"
        return self._add(f'<path class="line {style}" d="{"".join(parts)}"/>')

    def band(self, xs: Values, lows: Values, highs: Values, style: str) -> Plot:
        """The area between two lines."""
        (px, low), (_, high) = self.at(xs, lows), self.at(xs, highs)
        there = [f"{x:.1f} {y:.1f}" for x, y in zip(px, high, strict=True)]
        back = [f"{x:.1f} {y:.1f}" for x, y in zip(px[::-1], low[::-1], strict=True)]
        return self._add(f'<path class="band {style}" d="M{"L".join(there + back)}Z"/>')

    def dots(self, xs: Values, ys: Values, style: str, *, size: float = 3.5, titles: Sequence[str] = ()) -> Plot:
        """A dot a point, with a text that shows when pointed at."""
        for number, (x, y) in enumerate(zip(*self.at(xs, ys), strict=True)):
            told = f"<title>{escape(titles[number])}</title>" if titles else ""
            self._add(f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}">{told}</circle>')
        return self

    def bars(self, xs: Values, widths: float, ys: Values, style: str, *, titles: Sequence[str] = ()) -> Plot:
        """Bars from zero up or down, each `widths` wide in the units of x."""
        left, tops = self.at(np.asarray(xs, dtype=float) - widths / 2, ys)
        right, zeros = self.at(np.asarray(xs, dtype=float) + widths / 2, np.zeros(len(left)))
        for number, (x, end, y, zero) in enumerate(zip(left, right, tops, zeros, strict=True)):
            told = f"<title>{escape(titles[number])}</title>" if titles else ""
            place = f'x="{x:.1f}" y="{min(y, zero):.1f}" width="{max(end - x, 0.5):.1f}" height="{abs(y - zero):.1f}"'
            self._add(f'<rect class="bar {style}" {place}>{told}</rect>')
        return self

    def lying_bars(self, ys: Values, thickness: float, xs: Values, style: str, *, titles: Sequence[str] = ()) -> Plot:
        """Bars from zero to the right or left, each `thickness` thick in the units of y."""
        ends, tops = self.at(xs, np.asarray(ys, dtype=float) + thickness / 2)
        zeros, bottoms = self.at(np.zeros(len(ends)), np.asarray(ys, dtype=float) - thickness / 2)
        for number, (end, zero, top, bottom) in enumerate(zip(ends, zeros, tops, bottoms, strict=True)):
            told = f"<title>{escape(titles[number])}</title>" if titles else ""
            place = f'x="{min(end, zero):.1f}" y="{top:.1f}" width="{abs(end - zero):.1f}" height="{bottom - top:.1f}"'
            self._add(f'<rect class="bar {style}" {place}>{told}</rect>')
        return self

    def whiskers(self, xs: Values, lows: Values, highs: Values, style: str) -> Plot:
        """Upright intervals."""
        (px, low), (_, high) = self.at(xs, lows), self.at(xs, highs)
        pieces = [f"M{x:.1f} {a:.1f}V{b:.1f}" for x, a, b in zip(px, low, high, strict=True)]
        return self._add(f'<path class="whisker {style}" d="{"".join(pieces)}"/>')

    def spans(self, ys: Values, lows: Values, highs: Values, style: str) -> Plot:
        """Lying intervals."""
        (low, py), (high, _) = self.at(lows, ys), self.at(highs, ys)
        pieces = [f"M{a:.1f} {y:.1f}H{b:.1f}" for y, a, b in zip(py, low, high, strict=True) if np.isfinite(a + b)]
        return self._add(f'<path class="whisker {style}" d="{"".join(pieces)}"/>')

    def level(self, y: float, style: str) -> Plot:
        """A line across, at one value of y."""
        _, place = self.at(self.x.low, y)
        return self._add(f'<path class="rule {style}" d="M{self.left} {place:.1f}H{WIDTH - RIGHT}"/>')

    def upright(self, x: float, style: str) -> Plot:
        """A line from bottom to top, at one value of x."""
        place, _ = self.at(x, self.y.low)
        return self._add(f'<path class="rule {style}" d="M{place:.1f} {TOP}V{self.height - BOTTOM}"/>')

    def cells(self, x_edges: np.ndarray, y_edges: np.ndarray, shades: np.ndarray, *, levels: int) -> Plot:
        """Cells of a grid, one path a shade; `shades` (columns, rows) are 0 (not drawn) to `levels`."""
        px, py = self.at(x_edges, np.full(len(x_edges), self.y.low))[0], self.at(self.x.low, y_edges)[1]
        for level in range(1, levels + 1):
            pieces = [
                f"M{px[i]:.1f} {py[j + 1]:.1f}H{px[i + 1]:.1f}V{py[j]:.1f}H{px[i]:.1f}Z"
                for i, j in zip(*np.nonzero(shades == level), strict=True)
            ]
            if pieces:
                self._add(f'<path class="cell" fill-opacity="{level / levels:.2f}" d="{"".join(pieces)}"/>')
        return self

    def text(self, x: float, y: float, words: str, *, anchor: str = "start") -> Plot:
        """Words at a value of both axes."""
        px, py = self.at(x, y)
        return self._add(_words("note", words, anchor, f'x="{px:.1f}" y="{py:.1f}"'))

    def _add(self, mark: str) -> Plot:
        self.marks.append(mark)
        return self

    def svg(self) -> str:
        """The picture, with its axes below the marks; what reaches out of the area is cut off."""
        bottom = self.height - BOTTOM
        wide, high = WIDTH - RIGHT - self.left, bottom - TOP
        place = f'x="{self.left}" y="{TOP}" width="{wide}" height="{high}"'
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(self.label)}">{self._grid()}'
            f'<svg {place} viewBox="{self.left} {TOP} {wide} {high}">{"".join(self.marks)}</svg>{self._words()}</svg>'
        )

    def _grid(self) -> str:
        bottom = self.height - BOTTOM
        across = "".join(f"M{self.left} {self.at(self.x.low, y)[1]:.1f}H{WIDTH - RIGHT}" for y in self.y.places())
        up = "".join(f"M{self.at(x, self.y.low)[0]:.1f} {TOP}V{bottom}" for x in self.x.places())
        return f'<path class="grid" d="{across}{up}"/>'

    def _words(self) -> str:
        """Labels of the ticks and titles of the axes."""
        bottom = self.height - BOTTOM
        below = [(float(self.at(x, self.y.low)[0]), self.x.format(x)) for x in self.x.places()]
        beside = [(float(self.at(self.x.low, y)[1]), self.y.format(y)) for y in self.y.places()]
        across, up = (self.left + WIDTH - RIGHT) / 2, (TOP + bottom) / 2
        words = [_words("tick", text, "middle", f'x="{x:.1f}" y="{bottom + 17}"') for x, text in below]
        words += [_words("tick", text, "end", f'x="{self.left - 7}" y="{y + 4:.1f}"') for y, text in beside]
        words.append(_words("axis", self.x.title, "middle", f'x="{across:.0f}" y="{self.height - 6}"'))
        words.append(_words("axis", self.y.title, "middle", f'transform="translate(12 {up:.0f}) rotate(-90)"'))
        return "".join(words)


def _words(style: str, text: str, anchor: str, place: str) -> str:
    return f'<text class="{style}" {place} text-anchor="{anchor}">{escape(text)}</text>' if text else ""

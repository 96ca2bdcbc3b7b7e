"""One picture of a session, a panel a finding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure as Canvas

from benchmarks.peers.finding import Finding

WIDTH_INCHES = 9.5


def draw(findings: Sequence[Finding], path: Path) -> None:
    """Every finding's panel, one under the other."""
    heights = [one.height_inches for one in findings]
    canvas = Canvas(figsize=(WIDTH_INCHES, sum(heights)), layout="constrained")
    panels = canvas.subplots(len(findings), 1, height_ratios=heights, squeeze=False)[:, 0]
    for panel, finding in zip(panels, findings, strict=True):
        finding.draw(panel)
        panel.tick_params(axis="x", labelsize=7)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    canvas.savefig(path)

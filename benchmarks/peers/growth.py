"""How time and memory of the main job grow with currencies and with days, stage by stage."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from benchmarks.peers.contest import OURS_PYTHON
from benchmarks.peers.finding import name_panel, plain_numbers
from benchmarks.peers.place import Place, simulated_klines

STAGES = ("ingest", "indicators", "tune", "evaluate")
OPTIONS = ("--algorithms", "ridge,xgboost", "--trials", "3", "--folds", "3", "--cutoffs", "1", "--interval", "1h")
HEIGHT_INCHES = 3.0


@dataclass(frozen=True)
class Step:
    """One run of the main job: how many times the smallest, its klines, seconds and peak memory by stage."""

    times: int
    klines: int
    seconds: Mapping[str, float]
    peak_mb: Mapping[str, float]


@dataclass(frozen=True)
class Growth:
    """Runs along one axis, smallest first: a `Finding`."""

    axis: str
    setting: str
    steps: tuple[Step, ...]

    @property
    def height_inches(self) -> float:
        return HEIGHT_INCHES

    @property
    def title(self) -> str:
        return f"Growth with {self.axis}"

    def lines(self) -> list[str]:
        """Seconds and memory of each stage at each size, and the exponent between sizes."""
        sizes = [f"{step.times} x" for step in self.steps]
        head = f"  {'':12}" + "".join(f"{size:>10}" for size in sizes) + "   exponents between"
        klines = ", ".join(f"{step.klines:,}" for step in self.steps)
        rows = [f"{self.title}", f"  {self.setting}; klines: {klines}", head]
        for unit, tables in (("s", [s.seconds for s in self.steps]), ("MB", [s.peak_mb for s in self.steps])):
            for stage in STAGES:
                values = [table[stage] for table in tables]
                shown = "".join(f"{value:10,.1f}" for value in values)
                slopes = "  ".join(f"{slope:.2f}" for slope in self.exponents(values))
                rows.append(f"  {stage + ', ' + unit:12}{shown}   {slopes}")
        return rows

    def exponents(self, values: Sequence[float]) -> list[float]:
        """p of value ~ size^p between each size and the next; 1 grows with the size, 0 not at all."""
        sizes = [step.times for step in self.steps]
        pairs = zip(pairwise(values), pairwise(sizes), strict=True)
        return [math.log(after / before) / math.log(larger / small) for (before, after), (small, larger) in pairs]

    def draw(self, panel: Axes) -> None:
        """Seconds of each stage by klines, both logarithmic, beside a line that grows in proportion."""
        klines = [step.klines for step in self.steps]
        for stage in STAGES:
            panel.plot(klines, [step.seconds[stage] for step in self.steps], marker="o", label=stage)
        first = min(self.steps[0].seconds[stage] for stage in STAGES)
        panel.plot(klines, [first * rows / klines[0] for rows in klines], "--", color="#a0aec0", label="in proportion")
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks(klines, [f"{rows:,}" for rows in klines])
        panel.minorticks_off()
        panel.tick_params(axis="y", labelsize=7)
        panel.set_xlabel("klines", fontsize=7)
        panel.set_ylabel("seconds", fontsize=7)
        plain_numbers(panel.yaxis)
        name_panel(panel, self.title, self.setting)
        panel.legend(fontsize=7, frameon=False)

    def facts(self) -> dict[str, Any]:
        """Every step, and the exponents by stage."""
        seconds = {stage: self.exponents([step.seconds[stage] for step in self.steps]) for stage in STAGES}
        memory = {stage: self.exponents([step.peak_mb[stage] for step in self.steps]) for stage in STAGES}
        steps = [asdict(step) for step in self.steps]
        exponents = {"seconds": seconds, "peak_mb": memory}
        return {"title": self.title, "setting": self.setting, "steps": steps, "exponents": exponents}


def growth(place: Place) -> list[Growth]:
    """The whole main job at 1, 4 and 16 times the currencies, and the days."""
    size = place.size
    smallest = (size.growth_currencies, size.growth_days)
    base = run(place, *smallest, times=size.growth[0])
    by_currencies = [run(place, smallest[0] * times, smallest[1], times) for times in size.growth[1:]]
    by_days = [run(place, smallest[0], smallest[1] * times, times) for times in size.growth[1:]]
    what = f"cryptobot demo --once {' '.join(OPTIONS)}; at first {smallest[0]} currencies x {smallest[1]} days"
    return [Growth("currencies", what, (base, *by_currencies)), Growth("days", what, (base, *by_days))]


def run(place: Place, currencies: int, days: int, times: int) -> Step:
    """The main job on a home of its own, replaying simulated klines; its own report says what it took."""
    folder = place.folder / f"{currencies}x{days}"
    folder.mkdir()
    klines = folder / "klines.parquet"
    simulated_klines(currencies, days * 24).write_parquet(klines)
    report = folder / "report.json"
    command = [str(OURS_PYTHON), "-m", "cryptobot_assets.cli.main", "demo", "--once", *OPTIONS]
    command += ["--replay", str(klines), "--home", str(folder / "home"), "--report", str(report)]
    with (folder / "demo.log").open("w") as log:
        ended = subprocess.run(command, stdout=log, stderr=log, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"the main job failed at {currencies} currencies x {days} days:\n{_end_of(folder)}")
    found = json.loads(report.read_text())
    seconds, peaks = ({stage: found[key][stage] for stage in STAGES} for key in ("seconds", "peak_rss_mb_by_stage"))
    told = ", ".join(f"{stage} {seconds[stage]:.1f} s" for stage in STAGES)
    place.told(f"growth: {currencies} currencies x {days} days, {found['klines']['rows']:,} klines: {told}")
    return Step(times, found["klines"]["rows"], seconds, peaks)


def _end_of(folder: Path) -> str:
    return (folder / "demo.log").read_text()[-2000:]

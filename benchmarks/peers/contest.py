"""A contest: one piece of work done several ways on the same rows, in turn, and what came of it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from matplotlib.axes import Axes

from benchmarks.peers.finding import name_panel, plain_numbers

OURS, FASTER, SLOWER = "#2b6cb0", "#c05621", "#718096"
SHORTEST = 0.1
INCHES_A_BAR, INCHES_A_PANEL = 0.28, 1.1
ROOT = Path(__file__).resolve().parents[2]
OURS_PYTHON = Path(sys.executable)


@dataclass(frozen=True)
class Contestant:
    """One way of doing the work.

    Attributes:
        name: as shown.
        program: a module of this folder, run by `python`.
        arguments: given to the program.
        python: the interpreter of the environment the way needs.
        environment: variables set beside the present ones.
        aim: our seconds times this must not exceed this way's (10: ours is to be ten times as fast); for a bound that
            ours is only to come near, below one (1/3: ours may take three times as long). None: no aim.
        note: what a reader must know to judge the figure; the `note` among what the way reports follows it.
    """

    name: str
    program: str
    arguments: tuple[str, ...] = ()
    python: Path = OURS_PYTHON
    environment: Mapping[str, str] = field(default_factory=dict)
    aim: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Contest:
    """Work, its ways, and which of them is ours.

    Attributes:
        key: short name, as `--only` takes it.
        setting: rows, spans, kernels: what was measured, in words.
        ours: name of the contestant the others are compared with.
        agree: says how far the ways' results are apart, from the last facts of each by name; raises when too far.
    """

    key: str
    title: str
    setting: str
    ours: str
    contestants: tuple[Contestant, ...]
    agree: Callable[[Mapping[str, Mapping[str, Any]]], str] | None = None


Answers = Mapping[str, Sequence[Mapping[str, Any]]]
"""What each way answered, turn by turn, by its name."""


@dataclass(frozen=True)
class Figure:
    """What one way took, beside ours.

    Attributes:
        seconds: median of the turns.
        times_ours: median over the turns of this way's seconds by ours of the same turn; 1 for ours.
        peak_mb: of the process or the largest of its children.
        facts: what the way itself reported last.
    """

    contest: str
    name: str
    seconds: float
    times_ours: float
    cpu_seconds: float
    peak_mb: float
    aim: float | None
    note: str
    facts: Mapping[str, Any]

    @property
    def reached(self) -> bool | None:
        """Whether the aim was reached; None without one."""
        return None if self.aim is None else self.times_ours >= self.aim

    @property
    def line(self) -> str:
        """A row of the table."""
        aim = [] if self.aim is None else [f"{self.aim:.3g} x: {'reached' if self.reached else 'MISSED'}"]
        told = "; ".join(aim + [self.note] * bool(self.note))
        seconds, cpu = _in_sight(self.seconds), _in_sight(self.cpu_seconds)
        times = f"{seconds:>9} {self.times_ours:8.2f} {cpu:>8} {self.peak_mb:8,.0f}"
        return f"{self.name:44} {times}  {told}".rstrip()


@dataclass(frozen=True)
class Outcome:
    """A contest's figures, and how far its ways' results were apart: a `Finding`."""

    contest: Contest
    figures: tuple[Figure, ...]
    agreement: str

    @property
    def height_inches(self) -> float:
        return INCHES_A_PANEL + INCHES_A_BAR * len(self.figures)

    def lines(self) -> list[str]:
        """Seconds, how many times ours that is, processor seconds, memory, aim and note of each way."""
        head = [self.contest.title, f"  {self.contest.setting}"] + [f"  {self.agreement}"] * bool(self.agreement)
        head.append(f"  {'':44} {'seconds':>9} {'x ours':>8} {'CPU s':>8} {'peak MB':>8}  aim")
        return head + [f"  {one.line}" for one in self.figures]

    def draw(self, panel: Axes) -> None:
        """Bars on a logarithmic scale, ours at one: to the right slower than ours, to the left faster."""
        ratios, places = [one.times_ours for one in self.figures], range(len(self.figures))
        panel.barh(places, [ratio - 1 for ratio in ratios], left=1, height=0.7, color=list(map(_colour, ratios)))
        panel.axvline(1, color=OURS, linewidth=1.5)
        panel.set_xscale("log")
        panel.set_xlim(min(0.3, *ratios) / 1.4, max(3, *ratios) * 3)
        panel.set_yticks(places, [one.name for one in self.figures], fontsize=8)
        panel.invert_yaxis()
        plain_numbers(panel.xaxis)
        name_panel(panel, self.contest.title, self.contest.setting)
        panel.set_xlabel("times the seconds of ours", fontsize=7)
        for place, one in zip(places, self.figures, strict=True):
            told = f" {one.times_ours:.2f} x   {one.seconds:.3g} s"
            panel.text(max(one.times_ours, 1), place, told, va="center", fontsize=7)

    def facts(self) -> dict[str, Any]:
        """The figures with the contest's title, setting and agreement."""
        rows = [asdict(one) for one in self.figures]
        contest = {"key": self.contest.key, "title": self.contest.title, "setting": self.contest.setting}
        return contest | {"ours": self.contest.ours, "agreement": self.agreement, "figures": rows}


def _in_sight(seconds: float) -> str:
    """With three digits that say something.

    >>> _in_sight(12.3456), _in_sight(0.000412345)
    ('12.346', '0.000412')
    """
    return f"{seconds:.3f}" if seconds >= SHORTEST else f"{seconds:.3g}"


def _colour(times_ours: float) -> str:
    return OURS if times_ours == 1 else FASTER if times_ours < 1 else SLOWER


def hold(contest: Contest, turns: int, told: Callable[[str], None]) -> Outcome:
    """Every contestant ready, then each in turn, `turns` times over.

    Raises:
        RuntimeError: a contestant ended before it answered, or results are too far apart.
    """
    return judge(contest, take_turns(contest, turns, told))


def take_turns(contest: Contest, turns: int, told: Callable[[str], None]) -> Answers:
    """What the contestants answered: to `judge`, in several contests between some of them where that is wanted."""
    with ExitStack() as stack:
        running = {}
        for one in contest.contestants:
            told(f"{contest.key}: {one.name} gets ready")
            running[one.name] = stack.enter_context(_running(one))
        answers: dict[str, list[dict[str, Any]]] = {name: [] for name in running}
        for turn in range(turns):
            for name, process in running.items():
                answers[name].append(_asked(name, process))
                told(f"{contest.key}: turn {turn + 1} of {turns}, {name}: {answers[name][-1]['seconds']:.2f} s")
    return answers


def judge(contest: Contest, answers: Answers) -> Outcome:
    """The figures of a contest's ways beside ours of the same turns.

    Raises:
        RuntimeError: results are too far apart.
    """
    last = {one.name: answers[one.name][-1] for one in contest.contestants}
    agreement = contest.agree(last) if contest.agree else ""
    return Outcome(contest, tuple(_figure(contest, one, answers) for one in contest.contestants), agreement)


def _figure(contest: Contest, one: Contestant, answers: Answers) -> Figure:
    mine, ours = ([answer["seconds"] for answer in answers[name]] for name in (one.name, contest.ours))
    last = answers[one.name][-1]
    return Figure(
        contest=contest.key, name=one.name, aim=one.aim,
        note="; ".join(filter(None, (one.note, last.get("note", "")))),
        seconds=statistics.median(mine),
        times_ours=statistics.median(theirs / our for theirs, our in zip(mine, ours, strict=True)),
        cpu_seconds=statistics.median(answer["cpu_seconds"] for answer in answers[one.name]),
        peak_mb=max(answer["peak_mb"] for answer in answers[one.name]),
        facts={key: value for key, value in last.items() if key not in {"seconds", "cpu_seconds", "peak_mb", "note"}},
    )  # fmt: skip


@contextmanager
def _running(one: Contestant) -> Iterator[subprocess.Popen[str]]:
    """The contestant's process, ready; ended with the block."""
    command = [str(one.python), "-m", f"benchmarks.peers.{one.program}", *one.arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, **one.environment},
    )  # fmt: skip
    try:
        _answer(one.name, process)
        yield process
    finally:
        _pipe(process.stdin).close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _pipe(process.stdout).close()


def _asked(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    print("run", file=_pipe(process.stdin), flush=True)
    return _answer(name, process)


def _answer(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    line = _pipe(process.stdout).readline()
    if not line:
        raise RuntimeError(f"{name} ended with {process.wait()} before it answered; what it said stands above")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe

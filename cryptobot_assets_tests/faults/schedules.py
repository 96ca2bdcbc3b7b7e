"""Seeded fault schedules: what happens, step by step, to someone who keeps a store of klines up to date.

A step is one ingestion, as a backfill or as the schedule asks for it, at one instant of the exchange's
time, under faults of the exchange, kills, failing writes, a server that goes away and comes back, and
another ingestion in between. Everything is drawn from the seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from cryptobot_assets.exchange.faults import (
    CHECKSUM_MODE,
    CONNECTION_MODES,
    LACKING_MODES,
    ROW_MODES,
    STATUS_BODIES,
)
from cryptobot_assets_tests.faults.worlds import World, hours, minutes

MODES = (*map(str, STATUS_BODIES), *CONNECTION_MODES, *ROW_MODES, CHECKSUM_MODE)
"""Every fault the exchange server knows."""

Scope = Literal["backfill", "newest"]
End = Literal["abort", "kill", "refuse"]
CUTS: dict[End, str] = {"abort": "aborted", "kill": "killed (SIGKILL)", "refuse": "store that refuses"}
AWAY, IN_BETWEEN = "server stopped and started", "another ingestion in between"
PLENTY = 6000
CHANCES = (0.03, 0.1, 0.3)
SKEWS = (-4000, -70, -2, -1, 1, 2, 70, 4000)
SHORT_HANG, LONG_HANG = 0.02, 0.6
PATIENCE = {SHORT_HANG: 10.0, LONG_HANG: 0.25}
"""Seconds a client waits, by how long a server hangs: it hears the end, or gives up before."""


@dataclass(frozen=True)
class Cut:
    """Where an ingestion ends before it is done, if it comes that far.

    Attributes:
        how: `abort` ends it within this process, `kill` by a real SIGKILL of a process of its own,
            `refuse` is a store that cannot write.
        place: at a request, or before or after a write.
        number: the how many-eth of them.
    """

    how: End
    place: Literal["request", "before write", "after write"]
    number: int


@dataclass(frozen=True)
class Away:
    """The server stops before this request and is started again before that many more."""

    request: int
    refused: int


@dataclass(frozen=True)
class Step:
    """One ingestion.

    Attributes:
        now: the exchange's time.
        scope: everything missing up to today, or yesterday and today whatever is recorded.
        modes: chance of each fault of the exchange.
        hang_seconds: how long a `timeout` hangs.
        skew: how much the exchange's clock is shown early; late when negative.
        tries: how often a run asks again after all tries of one request have failed.
        weight: request weight a minute that the exchange grants.
        archives: whether archives are read, too.
        meanwhile: another ingestion that runs from begin to end before this one's write of that number.
    """

    now: datetime
    scope: Scope = "backfill"
    modes: dict[str, float] = field(default_factory=dict)
    hang_seconds: float = SHORT_HANG
    skew: timedelta = timedelta()
    tries: int = 0
    weight: int = PLENTY
    archives: bool = True
    cut: Cut | None = None
    away: Away | None = None
    meanwhile: tuple[int, Step] | None = None

    @property
    def faults(self) -> str:
        """The faults as the exchange server reads them, without a seed."""
        parts = [f"{mode}:{chance}" for mode, chance in self.modes.items()]
        return ",".join([*parts, f"hang={self.hang_seconds}", f"skew={self.skew.total_seconds()}"])


@dataclass(frozen=True)
class Schedule:
    """Steps in the order of their time; afterwards one undisturbed backfill must bring everything right."""

    seed: int
    world: World
    steps: tuple[Step, ...]

    @property
    def names(self) -> set[str]:
        """What can go wrong in it, by the names that the tables of the benchmark use."""
        steps = [*self.steps, *(step.meanwhile[1] for step in self.steps if step.meanwhile)]
        names = {mode for step in steps for mode in step.modes}
        for step in steps:
            names |= {CUTS[step.cut.how]} if step.cut else set()
            names |= {AWAY} if step.away else set()
            names |= {IN_BETWEEN} if step.meanwhile else set()
            names |= {"clock shown wrong"} if step.skew else set()
            names |= {"little weight granted"} if step.weight < PLENTY else set()
        return names


def draw_schedule(seed: int, *, kills: float) -> Schedule:
    """The schedule of a seed.

    Args:
        kills: share of the steps that run in a process of their own and are killed; slow.
    """
    draw = random.Random(seed)
    world = draw.choice((hours, hours, minutes))()
    nows = sorted(_instant(world, draw) for _ in range(draw.choice((1, 1, 2, 2, 3))))
    return Schedule(seed, world, tuple(_step(now, draw, kills) for now in nows))


def _instant(world: World, draw: random.Random) -> datetime:
    """Any second of the world's later part, often just before or after a midnight."""
    reach = world.end - world.start
    moment = world.end - timedelta(seconds=draw.randrange(int(0.6 * reach.total_seconds())))
    if draw.random() < 0.3:
        moment = moment.replace(hour=0, minute=0, second=0) + timedelta(seconds=draw.choice((-30, -1, 0, 1, 59)))
    return min(moment, world.end)


def _step(now: datetime, draw: random.Random, kills: float, *, nested: bool = False) -> Step:
    killed = not nested and draw.random() < kills
    step = Step(
        now=now,
        scope=draw.choice(("backfill", "backfill", "newest")),
        modes={mode: draw.choice(CHANCES) for mode in draw.sample(MODES, draw.choice((0, 1, 1, 2, 3)))},
        hang_seconds=LONG_HANG if draw.random() < 0.05 else SHORT_HANG,
        skew=timedelta(seconds=draw.choice(SKEWS)) if draw.random() < 0.3 else timedelta(),
        tries=draw.choice((0, 0, 2)),
        weight=draw.choice((PLENTY, PLENTY, PLENTY, 60)),
        archives=draw.random() < 0.8,
    )
    if killed:
        return replace(step, cut=_cut(draw, "kill"))
    if draw.random() < 0.4:
        step = replace(step, cut=_cut(draw, draw.choice(("abort", "abort", "refuse"))))
    if draw.random() < 0.25 and not step.modes.keys() & set(
        LACKING_MODES
    ):  # a new server has forgotten what it left out
        step = replace(step, away=Away(draw.randrange(1, 12), draw.choice((1, 2, 5, 30))))
    if not nested and draw.random() < 0.2:
        later = now + timedelta(seconds=draw.choice((0, 1, 40, 1000, 5000, 50_000)))
        step = replace(step, meanwhile=(draw.randrange(1, 3), _step(later, draw, 0.0, nested=True)))
    return step


def _cut(draw: random.Random, how: End) -> Cut:
    if how == "refuse" or draw.random() < 0.6:
        return Cut(how, draw.choice(("before write", "after write")) if how != "refuse" else "before write",
                   draw.randrange(1, 4))  # fmt: skip
    return Cut(how, "request", draw.randrange(1, 30))

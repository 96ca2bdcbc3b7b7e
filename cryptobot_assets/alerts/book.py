"""Which problems people are told of, and when: once a cause, again when there is more to tell, and when it is over.

wrong        x------------x------x--------------------.
told         failed       .      failed again         recovered
             |<- an hour at the least ->|
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

State = Literal["failed", "failing", "recovered", "test"]

QUIET = timedelta(hours=1)
"""Between two messages of one cause."""

REMIND = timedelta(days=1)
"""After this long a problem is told again though nothing is new about it."""

MOST_SHOWN = 8
"""Subjects and links named one by one in a message."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is wrong now.

    Attributes:
        cause: what makes two problems one and the same, over time.
        title: what is wrong, in one line.
        reason: the first cause, in one line.
        advice: what to do.
        subjects: what is concerned: partitions, currencies.
        links: pages that tell more.
        occurrence: changes when it happens once more.
    """

    cause: str
    title: str
    reason: str
    advice: str
    subjects: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    occurrence: str = ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What people read: a problem, whether it is new, still there or over, and since when."""

    state: State
    problem: Problem
    since: datetime
    at: datetime

    @property
    def title(self) -> str:
        """One line, for a subject or a headline."""
        words = {"failed": "", "failing": "Still: ", "recovered": "Recovered: ", "test": "Test: "}
        return f"{words[self.state]}{self.problem.title}"

    @property
    def text(self) -> str:
        """The whole message, a few lines of plain text."""
        one = self.problem
        if self.state == "recovered":
            return f"{self.title}\nIt was so from {told_time(self.since)} to {told_time(self.at)}: {one.reason}"
        lines = [self.title, f"Cause: {one.reason}", *_listed("Concerned", one.subjects)]
        if self.state == "failing":
            lines.append(f"Since: {told_time(self.since)}")
        return "\n".join([*lines, f"What to do: {one.advice}", *_listed("See", one.links)])


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A cause in the book.

    Attributes:
        problem: as it was last seen.
        since: when it was first seen.
        told: when people were last told of it, None while they were not.
        told_occurrence: the occurrence they were told of.
        over: whether it was gone at the last look; kept for `QUIET` so that it does not come back at once.
    """

    problem: Problem
    since: datetime
    told: datetime | None = None
    told_occurrence: str = ""
    over: bool = False


@dataclass(frozen=True)
class Book:
    """The causes that are open, or were until a moment ago, by their name."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def open(self) -> list[Problem]:
        """What was wrong at the last look."""
        return [entry.problem for entry in self.entries.values() if not entry.over]


def look(book: Book, problems: Iterable[Problem], now: datetime) -> tuple[Book, list[Message]]:
    """The book after a look at what is wrong now, and what is to be told."""
    seen = {problem.cause: problem for problem in problems}
    entries: dict[str, Entry] = {}
    messages: list[Message] = []
    for cause in dict.fromkeys((*book.entries, *seen)):
        held = book.entries.get(cause)
        entry, message = _still(held, seen[cause], now) if cause in seen else _gone(book.entries[cause], now)
        messages += [message] if message else []
        if entry is not None:
            entries[cause] = entry
    return Book(entries), messages


def _still(held: Entry | None, problem: Problem, now: datetime) -> tuple[Entry, Message | None]:
    """A problem that is there; told when it is new, or enough time has passed for what is to tell."""
    fresh = held is None or held.over
    entry = Entry(problem=problem, since=now if held is None or fresh else held.since)
    if held is not None:
        entry = replace(entry, told=held.told, told_occurrence="" if fresh else held.told_occurrence)
    more = fresh or problem.occurrence != entry.told_occurrence
    if entry.told is not None and now - entry.told < (QUIET if more else REMIND):
        return entry, None
    state: State = "failed" if more else "failing"
    told = replace(entry, told=now, told_occurrence=problem.occurrence)
    return told, Message(state=state, problem=problem, since=entry.since, at=now)


def _gone(held: Entry, now: datetime) -> tuple[Entry | None, Message | None]:
    """A problem that is over; told when people had been told of this time that it was there."""
    told_of_it = held.told is not None and held.told >= held.since
    message = None
    if not held.over and told_of_it:
        message = Message(state="recovered", problem=held.problem, since=held.since, at=now)
    recent = held.told is not None and now - held.told < QUIET
    return (replace(held, over=True) if recent else None), message


def told_time(moment: datetime) -> str:
    """An instant as people read it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _listed(label: str, values: Sequence[str]) -> list[str]:
    if not values:
        return []
    shown = ", ".join(values[:MOST_SHOWN])
    more = f" and {len(values) - MOST_SHOWN} more" if len(values) > MOST_SHOWN else ""
    return [f"{label}: {shown}{more}"]

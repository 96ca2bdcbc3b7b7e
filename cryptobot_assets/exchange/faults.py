"""Faults on purpose: what an exchange, or the network before it, can do to a client.

A plan is written `mode:value,...`, for example `429:0.01,reset:0.01,truncate:0.01,seed=5`.
Chances are shares of requests from 0 to 1. Whether a request is hit depends on the seed, the
request's address and how often that address was asked before, so a run can be repeated even with
several connections, and a retry draws anew.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptobot_assets.errors import UsageError

Rows = list[list[Any]]

STATUS_BODIES = {
    403: b"<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>",
    418: b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 0. '
    b'Please use WebSocket Streams for live updates to avoid bans."}',
    429: b'{"code":-1003,"msg":"Too much request weight used; current limit is 6000 request weight per 1 MINUTE. '
    b'Please use WebSocket Streams for live updates to avoid polling the API."}',
    451: b'{"code":0,"msg":"Service unavailable from a restricted location."}',
    500: b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}',
    502: b"<html><head><title>502 Bad Gateway</title></head><body></body></html>",
    503: b'{"code":-1008,"msg":"Server is currently overloaded with other requests. '
    b'Please try again in a few minutes."}',
    504: b"<html><head><title>504 Gateway Time-out</title></head><body></body></html>",
}
CONNECTION_MODES = {
    "reset": "the connection is reset before an answer",
    "timeout": "no answer comes for `hang` seconds, then the connection is closed",
    "truncate": "the answer breaks off half way",
    "malformed": "an answer of status 200 whose body is not what its type says",
}
CHECKSUM_MODE = "checksum"
OPTIONS = {
    "skew": "seconds by which the exchange's time is shown late (negative) or early",
    "unfinished": "share (0 to 1) of the newest kline that has passed, so that it is unfinished",
    "hang": "seconds a `timeout` lasts (60)",
    "retry_after": "seconds that a 429 or 418 by chance asks to wait (1)",
    "seed": "seed of the draws (0)",
}


def duplicate(rows: Rows, draw: random.Random) -> Rows:
    """One row comes twice."""
    place = draw.randrange(len(rows))
    return [*rows[:place], rows[place], *rows[place:]]


def disorder(rows: Rows, draw: random.Random) -> Rows:
    """Two rows change places."""
    first, second = draw.sample(range(len(rows)), 2) if len(rows) > 1 else (0, 0)
    swapped = list(rows)
    swapped[first], swapped[second] = rows[second], rows[first]
    return swapped


def offgrid(rows: Rows, draw: random.Random) -> Rows:
    """One row opens some seconds late."""
    place = draw.randrange(len(rows))
    late = [rows[place][0] + 1000 * draw.randrange(1, 30), *rows[place][1:]]
    return [*rows[:place], late, *rows[place + 1 :]]


def inverted(rows: Rows, draw: random.Random) -> Rows:
    """One row has its high and low exchanged, below and above its open and close."""
    place = draw.randrange(len(rows))
    opened, start, _, low, *rest = rows[place]
    return [*rows[:place], [opened, start, low, f"{float(start) * 1.01:.8f}", *rest], *rows[place + 1 :]]


def nonfinite(rows: Rows, draw: random.Random) -> Rows:
    """One row's close is no number."""
    place = draw.randrange(len(rows))
    return [*rows[:place], [*rows[place][:4], "NaN", *rows[place][5:]], *rows[place + 1 :]]


def short(rows: Rows, draw: random.Random) -> Rows:
    """One row lacks its last fields."""
    place = draw.randrange(len(rows))
    return [*rows[:place], rows[place][: draw.randrange(1, 6)], *rows[place + 1 :]]


def lost(rows: Rows, draw: random.Random) -> Rows:
    """Some neighbouring rows are missing, the first or the last ones perhaps; each row once, see `LeftOut`."""
    first, last = sorted((draw.randrange(len(rows)), draw.randrange(len(rows))))
    return [*rows[:first], *rows[last + 1 :]]


def empty(rows: Rows, draw: random.Random) -> Rows:
    """No row comes, but those that were missing before."""
    return []


ROW_MODES: dict[str, Callable[[Rows, random.Random], Rows]] = {
    mode.__name__: mode for mode in (duplicate, disorder, offgrid, inverted, nonfinite, short, lost, empty)
}
LACKING_MODES = ("lost", "empty")


def known_modes() -> str:
    """Every mode and option, as one line."""
    statuses = ", ".join(map(str, STATUS_BODIES))
    return f"{statuses}, {', '.join([*CONNECTION_MODES, *ROW_MODES, CHECKSUM_MODE])}; and {', '.join(OPTIONS)}"


@dataclass(frozen=True)
class FaultPlan:
    """What goes wrong and how often; made by `parse_faults`."""

    chances: dict[str, float] = field(default_factory=dict)
    skew_seconds: float = 0.0
    unfinished_share: float | None = None
    hang_seconds: float = 60.0
    retry_after_seconds: int = 1
    seed: int = 0


def parse_faults(text: str | None) -> FaultPlan:
    """The plan written in `text` (None or empty: nothing goes wrong).

    Raises:
        UsageError: an unknown mode, a value out of range, or chances that add up to more than 1.
    """
    chances: dict[str, float] = {}
    options: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        name, _, value = (piece.strip() for piece in re.sub("=", ":", part, count=1).partition(":"))
        if name in OPTIONS:
            options[name] = _number(part, value)
        elif name in (*map(str, STATUS_BODIES), *CONNECTION_MODES, *ROW_MODES, CHECKSUM_MODE):
            chances[name] = _share(part, value)
        else:
            raise UsageError(f"unknown fault {part!r}: the modes are {known_modes()}")
    if sum(chances.values()) > 1:
        raise UsageError(f"the chances of {', '.join(chances)} add up to more than 1")
    if "unfinished" in options:
        _share(f"unfinished:{options['unfinished']}", str(options["unfinished"]))
    negative = [name for name, value in options.items() if value < 0 and name != "skew"]
    if negative:
        raise UsageError(f"fault option {negative[0]} must be 0 or more")
    return FaultPlan(
        chances=chances,
        skew_seconds=options.get("skew", 0.0),
        unfinished_share=options.get("unfinished"),
        hang_seconds=options.get("hang", 60.0),
        retry_after_seconds=int(options.get("retry_after", 1)),
        seed=int(options.get("seed", 0)),
    )


def _number(part: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise UsageError(f"fault {part!r} has no number: write for example {part.split(':')[0]}:1") from None
    if math.isinf(number) or math.isnan(number):
        raise UsageError(f"fault {part!r} needs a finite number")
    return number


def _share(part: str, value: str) -> float:
    share = _number(part, value)
    if not 0 <= share <= 1:
        raise UsageError(f"fault {part!r}: a chance is between 0 and 1")
    return share


class FaultDraws:
    """Draws the fault of each request of a run."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self._asked: Counter[str] = Counter()

    def draw(self, target: str) -> tuple[str | None, random.Random]:
        """The mode that hits this request for `target` (path and query), and the draws to apply it with."""
        self._asked[target] += 1
        draw = random.Random(f"{self.plan.seed}|{target}|{self._asked[target]}")  # noqa: S311 seeded, to be repeated
        place = draw.random()
        for mode, chance in self.plan.chances.items():
            if place < chance:
                return mode, draw
            place -= chance
        return None, draw


class LeftOut:
    """Klines that an answer lacked: a server that lags behind the others has them when it is asked again."""

    def __init__(self) -> None:
        self._known: set[tuple[str, int]] = set()

    def once(self, series: str, body: bytes, spoiled: bytes) -> bytes:
        """The spoiled klines answer about `series`, with the rows of `body` that were left out before."""
        whole: Rows = json.loads(body)
        kept = {row[0] for row in json.loads(spoiled)}
        gone = {(series, row[0]) for row in whole if row[0] not in kept} - self._known
        self._known |= gone
        rows = [row for row in whole if (series, row[0]) not in gone]
        return json.dumps(rows, separators=(",", ":")).encode()


def spoil_rows(mode: str, body: bytes, draw: random.Random) -> bytes:
    """A klines answer with one of `ROW_MODES` applied; an empty one stays as it is."""
    rows = json.loads(body)
    return json.dumps(ROW_MODES[mode](rows, draw), separators=(",", ":")).encode() if rows else body


def spoil_text(body: bytes) -> bytes:
    """A body cut short and followed by what it should not hold: neither JSON nor an archive."""
    return body[: max(1, len(body) // 3)] + b"<html>upstream error</html>"


def spoil_checksum(line: bytes) -> bytes:
    """A checksum line whose digest is another's."""
    return bytes(line[0:1].translate(bytes.maketrans(b"0123456789abcdef", b"123456789abcdef0"))) + line[1:]

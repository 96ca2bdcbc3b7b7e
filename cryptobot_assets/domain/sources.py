"""Where klines are to come from: the exchange's archives for what is past, REST for the newest.

    2024-03-20      2024-04-01            2024-05-01      2024-05-09  now
        |---- daily ----|------ monthly ------|---- daily ----|-rest-|

A month's file is due once the first Monday of the next month has passed, a day's file once the day
has ended. What is due need not be there (published late, or the listing began later): whoever reads
falls back from a month to its days, and from a day to REST.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from cryptobot_assets.domain.intervals import DAY, interval_delta

Kind = Literal["monthly", "daily", "rest"]

REST_PAGE_ROWS = 1000
"""Klines one REST request gives: a day's file with fewer costs more requests than it spares."""


BLOCK_ROWS = 92 * 24 * 60
"""Klines of one currency that are read, and held, together."""

ROWS_TOGETHER = 4 * BLOCK_ROWS
"""Klines in one write: it costs as much as thousands of rows, and memory grows with it."""


@dataclass(frozen=True)
class Span:
    """One currency over [start, end)."""

    currency: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Source:
    """Klines of [start, end) from one month's file, one day's file, or REST."""

    kind: Kind
    start: datetime
    end: datetime


def plan_sources(start: datetime, end: datetime, interval: str, *, now: datetime) -> list[Source]:
    """Sources that cover [start, end) without overlap, in order of time.

    Args:
        start, end: aware UTC times.
        now: the exchange's clock.

    >>> from datetime import UTC
    >>> for one in plan_sources(
    ...     datetime(2024, 3, 31, tzinfo=UTC), datetime(2024, 5, 2, 7, tzinfo=UTC), "1m",
    ...     now=datetime(2024, 5, 7, tzinfo=UTC),
    ... ):
    ...     print(one.kind, one.start, one.end)
    daily 2024-03-31 00:00:00+00:00 2024-04-01 00:00:00+00:00
    monthly 2024-04-01 00:00:00+00:00 2024-05-01 00:00:00+00:00
    daily 2024-05-01 00:00:00+00:00 2024-05-02 00:00:00+00:00
    rest 2024-05-02 00:00:00+00:00 2024-05-02 07:00:00+00:00
    """
    days_are_worth_a_file = DAY / interval_delta(interval) > REST_PAGE_ROWS
    sources = []
    while start < end:
        midnight = day_floor(start)
        next_day, next_month = midnight + DAY, month_after(start)
        if start == month_floor(start) and next_month <= end and monthly_due(next_month) <= now:
            sources.append(Source("monthly", start, next_month))
        elif start == midnight and next_day <= min(end, now) and days_are_worth_a_file:
            sources.append(Source("daily", start, next_day))
        else:
            sources.append(Source("rest", start, min(next_day, end)))
        start = sources[-1].end
    return list(join_rest(sources))


def fall_back(source: Source) -> list[Source]:
    """What to read instead of a file that cannot be used: its days' files, or REST for a day."""
    if source.kind != "monthly":
        return [replace(source, kind="rest")]
    days = (source.end - source.start).days
    return [Source("daily", source.start + number * DAY, source.start + (number + 1) * DAY) for number in range(days)]


def join_rest(sources: Iterable[Source]) -> Iterator[Source]:
    """The same sources, neighbouring REST spans made one, so that pages are full."""
    held: Source | None = None
    for source in sources:
        if held is not None and held.kind == source.kind == "rest" and held.end == source.start:
            held = replace(held, end=source.end)
            continue
        if held is not None:
            yield held
        held = source
    if held is not None:
        yield held


def month_blocks(span: Span, days: int) -> Iterator[Span]:
    """The span in pieces of at most `days` (62 or more) days, cut between months, to bound memory."""
    start = span.start
    while start < span.end:
        reach = start + timedelta(days=days)
        end = span.end if reach >= span.end else month_floor(reach)
        yield replace(span, start=start, end=end)
        start = end


def block_days(interval: str) -> int:
    """Days of one currency that are read, and held, together: a quarter at 1m, all there is at 1h."""
    return BLOCK_ROWS * interval_delta(interval) // DAY


def together(spans: Iterable[Span], interval: str) -> Iterator[list[Span]]:
    """The spans in order of time; those of one time together, as long as one write should hold their klines."""
    held: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end, span.currency)):
        most = max(ROWS_TOGETHER * interval_delta(interval) // (span.end - span.start), 1)
        if held and ((held[0].start, held[0].end) != (span.start, span.end) or len(held) >= most):
            yield held
            held = []
        held.append(span)
    if held:
        yield held


def monthly_due(month_end: datetime) -> datetime:
    """When the file of the month that ended at `month_end` is due: after the next month's first Monday.

    >>> from datetime import UTC
    >>> monthly_due(datetime(2024, 5, 1, tzinfo=UTC))
    datetime.datetime(2024, 5, 7, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return month_end + ((7 - month_end.weekday()) % 7 + 1) * DAY


def day_floor(time: datetime) -> datetime:
    """The last midnight at or before `time`."""
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def month_floor(time: datetime) -> datetime:
    """The last first-of-month midnight at or before `time`."""
    return day_floor(time).replace(day=1)


def month_after(time: datetime) -> datetime:
    """The first first-of-month midnight after `time`."""
    return month_floor(month_floor(time) + 32 * DAY)

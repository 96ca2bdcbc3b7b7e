"""Where klines are to come from: months, days and REST, by the exchange's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.sources import (
    BLOCK_ROWS,
    ROWS_TOGETHER,
    Source,
    Span,
    block_days,
    fall_back,
    join_rest,
    month_after,
    month_blocks,
    monthly_due,
    plan_sources,
    together,
)

MINUTE = timedelta(minutes=1)
FIRST = datetime(2023, 1, 1, tzinfo=UTC)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def plan(start: str, end: str, now: str, interval: str = "1m") -> list[tuple[str, datetime, datetime]]:
    return [(one.kind, one.start, one.end) for one in plan_sources(day(start), day(end), interval, now=day(now))]


def test_whole_past_months_come_by_the_month_and_the_rest_by_the_day():
    kinds = [one[0] for one in plan("2024-01-30", "2024-04-03", "2024-06-01")]
    assert kinds == ["daily"] * 2 + ["monthly"] * 2 + ["daily"] * 2


def test_the_day_that_is_not_over_comes_over_rest():
    newest = plan("2024-05-08", "2024-05-09T10:30", "2024-05-09T10:30")
    assert newest == [
        ("daily", day("2024-05-08"), day("2024-05-09")),
        ("rest", day("2024-05-09"), day("2024-05-09T10:30")),
    ]


def test_parts_of_days_come_over_rest():
    kinds = [one[0] for one in plan("2024-05-01T12:00", "2024-05-04T01:00", "2024-06-09")]
    assert kinds == ["rest", "daily", "daily", "rest"]


@pytest.mark.parametrize(
    ("month_end", "due"),
    [
        ("2024-05-01", "2024-05-07"),  # a Wednesday: the first Monday is the 6th
        ("2024-07-01", "2024-07-02"),  # a Monday itself
        ("2024-10-01", "2024-10-08"),
        ("2024-09-01", "2024-09-03"),  # a Sunday
    ],
)
def test_a_month_is_due_when_the_next_one_s_first_monday_has_passed(month_end: str, due: str):
    assert monthly_due(day(month_end)) == day(due)
    begins = (day(month_end) - DAY).replace(day=1)
    before, after = (plan_sources(begins, day(month_end), "1m", now=day(due) + late) for late in (-MINUTE, 0 * MINUTE))
    assert {one.kind for one in before} == {"daily"}
    assert [one.kind for one in after] == ["monthly"]


def test_at_1h_no_file_is_read_for_a_day_that_fills_no_page():
    assert plan("2024-03-30", "2024-05-09", "2024-05-20", "1h") == [
        ("rest", day("2024-03-30"), day("2024-04-01")),
        ("monthly", day("2024-04-01"), day("2024-05-01")),
        ("rest", day("2024-05-01"), day("2024-05-09")),
    ]


minutes = some.integers(0, 400 * 24 * 60)


@given(start=minutes, length=some.integers(0, 120 * 24 * 60), past=minutes, interval=some.sampled_from(["1m", "1h"]))
def test_a_plan_covers_its_span_once_and_reads_nothing_early(start: int, length: int, past: int, interval: str):
    begin, end = FIRST + start * MINUTE, FIRST + (start + length) * MINUTE
    now = end + past * MINUTE
    sources = plan_sources(begin, end, interval, now=now)
    assert [one.start for one in sources] + [end] == [begin] + [one.end for one in sources]
    assert all(one.start < one.end for one in sources)
    assert not any(before.kind == after.kind == "rest" for before, after in pairwise(sources))
    for one in sources:
        if one.kind == "monthly":
            assert (one.start.day, one.end) == (1, month_after(one.start))
            assert now >= monthly_due(one.end)
        if one.kind == "daily":
            assert (one.start.hour, one.start.minute, one.end - one.start) == (0, 0, DAY)
            assert now >= one.end


def test_a_month_falls_back_to_its_days_and_a_day_to_rest():
    days = fall_back(Source("monthly", day("2024-02-01"), day("2024-03-01")))
    assert len(days) == 29
    assert {one.kind for one in days} == {"daily"}
    assert (days[0].start, days[-1].end) == (day("2024-02-01"), day("2024-03-01"))
    assert fall_back(days[3]) == [Source("rest", day("2024-02-04"), day("2024-02-05"))]


def test_neighbouring_rest_is_joined_and_nothing_else():
    one, two, four = (Source("rest", day(f"2024-01-0{n}"), day(f"2024-01-0{n + 1}")) for n in (1, 2, 4))
    assert list(join_rest([one, two, four])) == [Source("rest", one.start, two.end), four]
    days = fall_back(Source("monthly", day("2024-02-01"), day("2024-03-01")))
    assert list(join_rest(days)) == days
    assert list(join_rest([])) == []


@pytest.mark.parametrize(("start", "end"), [("2023-11-17", "2024-09-03"), ("2024-01-01", "2024-01-02")])
def test_blocks_are_cut_between_months(start: str, end: str):
    blocks = list(month_blocks(Span("BTCUSDT", day(start), day(end)), 90))
    assert (blocks[0].start, blocks[-1].end) == (day(start), day(end))
    assert all(before.end == after.start for before, after in pairwise(blocks))
    assert all(one.end.day == 1 for one in blocks[:-1])
    assert all(one.end - one.start <= 90 * DAY for one in blocks)
    assert len(blocks) <= 5


def test_spans_of_one_time_are_written_together_up_to_a_number_of_rows():
    days = block_days("1m")
    quarter = [Span(name, FIRST, FIRST + days * DAY) for name in "FEDCBA"]
    later = [Span(name, FIRST + days * DAY, FIRST + (days + 1) * DAY) for name in "BA"]
    writes = list(together([*later, *quarter], "1m"))
    assert ["".join(span.currency for span in write) for write in writes] == ["ABCD", "EF", "AB"]
    assert all((write[0].start, write[0].end) == (span.start, span.end) for write in writes for span in write)
    assert BLOCK_ROWS * len(writes[0]) <= ROWS_TOGETHER


def test_a_span_of_more_rows_than_one_write_should_hold_is_written_alone():
    spans = [Span(name, FIRST, FIRST + 10_000 * DAY) for name in "AB"]
    assert list(together(spans, "1m")) == [[spans[0]], [spans[1]]]
    assert list(together([], "1m")) == []


def test_blocks_hold_a_quarter_at_1m_and_years_at_1h():
    assert block_days("1m") == 92
    assert block_days("1h") == 60 * 92

"""When people are told of a problem, and what they read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cryptobot_assets.alerts.book import QUIET, REMIND, Book, Message, Problem, look

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DOWN = Problem(
    cause="klines: the exchange is down",
    title="klines failed",
    reason="nothing answers there",
    advice="wait for the next tick",
    subjects=("BTCUSDT|2024-02-29", "BTCUSDT|2024-03-01"),
    links=("http://127.0.0.1:3001/runs/1",),
    occurrence="run 1",
)
AGAIN = replace(DOWN, occurrence="run 2")
OTHER = replace(DOWN, cause="klines: the store is full", reason="no room")


def play(*looks: tuple[timedelta, list[Problem]]) -> list[tuple[timedelta, str]]:
    """When messages came and of which state, over looks at these times."""
    book, told = Book(), []
    for after, problems in looks:
        book, messages = look(book, problems, NOW + after)
        told += [(after, message.state) for message in messages]
    return told


def test_a_problem_is_told_once_and_so_is_its_end():
    assert play((0 * MINUTE, [DOWN]), (MINUTE, [DOWN]), (2 * MINUTE, []), (3 * MINUTE, [])) == [
        (0 * MINUTE, "failed"),
        (2 * MINUTE, "recovered"),
    ]


def test_what_happens_again_within_the_hour_is_told_when_it_is_over():
    assert play((0 * MINUTE, [DOWN]), (MINUTE, [AGAIN]), (QUIET - MINUTE, [AGAIN]), (QUIET, [AGAIN])) == [
        (0 * MINUTE, "failed"),
        (QUIET, "failed"),
    ]


def test_a_problem_that_stays_as_it_is_is_told_again_after_a_day():
    assert play((0 * MINUTE, [DOWN]), (REMIND - MINUTE, [DOWN]), (REMIND, [DOWN]), (REMIND + MINUTE, [DOWN])) == [
        (0 * MINUTE, "failed"),
        (REMIND, "failing"),
    ]


def test_a_problem_that_comes_and_goes_is_no_more_than_one_pair_an_hour():
    comes_and_goes = [(minute * MINUTE, [DOWN] if minute % 2 == 0 else []) for minute in range(120)]
    told = play(*comes_and_goes)
    assert told == [
        (0 * MINUTE, "failed"),
        (MINUTE, "recovered"),
        (60 * MINUTE, "failed"),
        (61 * MINUTE, "recovered"),
    ]


def test_a_problem_still_there_when_the_hour_is_over_is_told_though_it_came_back_in_between():
    told = play((0 * MINUTE, [DOWN]), (MINUTE, []), (2 * MINUTE, [DOWN]), (QUIET, [DOWN]), (QUIET + MINUTE, []))
    assert told == [(0 * MINUTE, "failed"), (MINUTE, "recovered"), (QUIET, "failed"), (QUIET + MINUTE, "recovered")]


def test_causes_are_told_apart():
    book, messages = look(Book(), [DOWN, OTHER], NOW)
    assert [message.problem for message in messages] == [DOWN, OTHER]
    book, messages = look(book, [OTHER], NOW + MINUTE)
    assert [(message.state, message.problem) for message in messages] == [("recovered", DOWN)]
    assert book.open == [OTHER]


def test_nothing_is_kept_of_what_is_long_over():
    book, _ = look(Book(), [DOWN], NOW)
    book, _ = look(book, [], NOW + MINUTE)
    assert book.entries
    book, _ = look(book, [], NOW + QUIET)
    assert not book.entries


@pytest.mark.parametrize(
    ("state", "title", "lines"),
    [
        ("failed", "klines failed", [
            "Cause: nothing answers there", "Concerned: BTCUSDT|2024-02-29, BTCUSDT|2024-03-01",
            "What to do: wait for the next tick", "See: http://127.0.0.1:3001/runs/1",
        ]),
        ("failing", "Still: klines failed", [
            "Cause: nothing answers there", "Concerned: BTCUSDT|2024-02-29, BTCUSDT|2024-03-01",
            "Since: 2024-03-01 12:00 UTC", "What to do: wait for the next tick", "See: http://127.0.0.1:3001/runs/1",
        ]),
        ("recovered", "Recovered: klines failed", [
            "It was so from 2024-03-01 12:00 UTC to 2024-03-01 13:00 UTC: nothing answers there",
        ]),
    ],
)  # fmt: skip
def test_a_message_says_what_why_and_what_to_do(state: str, title: str, lines: list[str]):
    message = Message(state=state, problem=DOWN, since=NOW, at=NOW + timedelta(hours=1))
    assert message.title == title
    assert message.text.splitlines() == [title, *lines]


def test_a_message_names_the_first_few_of_many():
    many = replace(DOWN, subjects=tuple(str(number) for number in range(30)), links=())
    text = Message(state="failed", problem=many, since=NOW, at=NOW).text
    assert "Concerned: 0, 1, 2, 3, 4, 5, 6, 7 and 22 more" in text
    assert "See" not in text

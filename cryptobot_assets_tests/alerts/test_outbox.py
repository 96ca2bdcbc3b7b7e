"""A channel that fails is tried again within bounds; nothing is ever raised."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import pytest

from cryptobot_assets.alerts.book import Message
from cryptobot_assets.alerts.outbox import FIRST_PAUSE, KEPT, LONGEST_PAUSE, MOST_WAITING, Letter, deliver, post
from cryptobot_assets.errors import AlertNotSent
from cryptobot_assets_tests.alerts.test_book import DOWN, NOW

LOG = logging.getLogger("cryptobot_assets_tests.alerts")


@dataclass
class FakeChannel:
    """Remembers what it sent, or refuses."""

    name: str = "fake"
    works: bool = True
    tried: int = 0
    sent: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.tried += 1
        if not self.works:
            raise AlertNotSent("fake is down")
        self.sent.append(message)


def message(minutes: int = 0) -> Message:
    return Message(state="failed", problem=DOWN, since=NOW, at=NOW + timedelta(minutes=minutes))


def test_every_message_goes_to_every_channel_once():
    channels = [FakeChannel("one"), FakeChannel("two")]
    letters = post([], [message(0), message(1)], channels)
    assert deliver(letters, channels, NOW + timedelta(minutes=1), LOG) == []
    assert all(channel.sent == [message(0), message(1)] for channel in channels)


def test_a_dead_channel_holds_up_no_other_and_is_tried_once_a_delivery(caplog: pytest.LogCaptureFixture):
    dead, alive = FakeChannel("dead", works=False), FakeChannel("alive")
    left = deliver(post([], [message(0), message(1)], [dead, alive]), [dead, alive], NOW + timedelta(minutes=1), LOG)
    assert (dead.tried, len(alive.sent)) == (1, 2)
    assert [letter.message for letter in left] == [message(0), message(1)]
    assert "fake is down; tried again in 30 s: klines failed" in caplog.text


def test_it_is_tried_less_and_less_often_and_delivered_in_order_once_it_works():
    dead = FakeChannel(works=False)
    letters, now, tries = post([], [message(0)], [dead]), NOW, []
    for _ in range(10):
        now = letters[0].due
        tries.append(now - NOW)
        letters = deliver(letters, [dead], now, LOG)
        assert deliver(letters, [dead], now, LOG) == letters, "not before it is due"
    pauses = [later - one for one, later in pairwise(tries)]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE and dead.tried == 10
    dead.works = True
    letters = post(letters, [message(1)], [dead])
    assert deliver(letters, [dead], letters[0].due, LOG) == []
    assert dead.sent == [message(0), message(1)]


def test_after_a_day_it_is_given_up(caplog: pytest.LogCaptureFixture):
    dead = FakeChannel(works=False)
    letter = Letter("fake", message(0), 20, NOW)
    assert deliver([letter], [dead], NOW + KEPT + FIRST_PAUSE, LOG) == []
    assert "given up after 21 tries" in caplog.text


def test_what_waits_is_bounded_and_forgotten_with_its_channel():
    channel = FakeChannel()
    letters = post([], [message(minute) for minute in range(MOST_WAITING + 5)], [channel])
    assert [letter.message.at for letter in letters] == [message(minute).at for minute in range(5, MOST_WAITING + 5)]
    assert post(letters, [], [FakeChannel("another")]) == []

"""The rules of request weight, as arithmetic: no clock, no file."""

from __future__ import annotations

import random

import pytest

from cryptobot_assets.storage.weight_account import ASSUMED_LIMIT, LONGEST_BLOCK_SECONDS, WINDOW_SECONDS, Account

NOON = 1_735_732_800
"""The exchange's clock at the beginning of a minute."""


def account(limit: int = 100, now: float = 0.0) -> Account:
    made = Account(client="here")
    made.learn(limit, now)
    return made


@pytest.mark.parametrize("seed", range(3))
def test_no_minute_of_anybodys_clock_holds_more_than_the_share(seed: int):
    """Requests of any weight at any time, each on its way for up to 5 seconds; minutes that begin anywhere."""
    draw = random.Random(seed)
    ours, now, arrived = account(100), 0.0, []
    for _ in range(2000):
        now += draw.expovariate(2.0)
        weight = draw.choice([1, 2, 20])
        now += ours.wait(weight, now)
        assert ours.wait(weight, now) == 0
        ours.take(weight, now)
        arrived.append((now + draw.uniform(0, 5), weight))
    for start in (draw.uniform(0, now) for _ in range(500)):
        assert sum(weight for at, weight in arrived if start <= at < start + 60) <= 90
    assert sum(weight for _, weight in arrived) / now * WINDOW_SECONDS > 70, "and hardly less than it could be"


def test_what_others_use_behind_the_same_address_counts_until_the_exchanges_minute_ends():
    ours = account(100)
    ours.hear(80, NOON + 15, now=1.0)
    assert ours.wait(10, 2.0) == 0
    assert ours.wait(11, 2.0) == 44.0
    ours.take(10, 2.0)
    assert ours.wait(1, 3.0) == 43.0
    assert ours.wait(1, 46.0) == 0


def test_an_answer_that_comes_late_takes_nothing_back():
    ours = account(100)
    ours.hear(80, NOON + 15, now=1.0)
    ours.hear(60, NOON + 15, now=1.1)
    ours.hear(88, NOON - 1, now=1.2)
    assert (ours.told, ours.told_until) == (80, 46.0)
    ours.hear(2, NOON + 60, now=45.5)
    assert (ours.told, ours.told_until) == (2, 105.5)


def test_without_a_date_the_exchanges_minute_is_taken_to_begin_now():
    ours = account(100)
    ours.hear(90, None, now=10.0)
    assert ours.wait(1, 11.0) == 59.0
    ours.hear(1, None, now=70.0)
    assert ours.wait(1, 71.0) == 0


def test_a_request_heavier_than_the_share_goes_alone():
    ours = account(10)
    assert ours.wait(20, 0.0) == 0
    ours.take(20, 0.0)
    assert ours.wait(1, 30.0) == WINDOW_SECONDS - 30
    ours.take(1, WINDOW_SECONDS)
    assert ours.wait(20, WINDOW_SECONDS + 1.0) > 0


def test_being_told_to_wait_holds_for_every_weight_and_is_never_shortened():
    ours = account()
    ours.block(120, 418, now=10.0)
    ours.block(1, 429, now=11.0)
    assert [ours.wait(weight, 20.0) for weight in (0, 2)] == [110.0, 110.0]
    assert ours.wait(2, 130.0) == 0
    ours.block(1e9, 418, now=0.0)
    assert ours.wait(0, 0.0) == LONGEST_BLOCK_SECONDS


def test_until_the_limit_is_told_the_least_there_ever_was_holds():
    ours = Account(client="here")
    ours.take(int(0.9 * ASSUMED_LIMIT), 0.0)
    assert ours.wait(1, 1.0) > 0
    ours.learn(6000, 1.0)
    assert ours.wait(1, 1.0) == 0


def test_machines_that_read_share_the_limit_for_as_long_as_they_are_heard_of():
    ours = account(100)
    ours.share(3, now=0.0)
    ours.take(30, 0.0)
    assert ours.wait(1, 1.0) > 0
    assert ours.wait(1, 1.0) == WINDOW_SECONDS - 1.0
    ours.take(30, 119.0)
    assert ours.wait(2, 119.5) > 0
    assert ours.wait(2, 120.0) == 0, "two minutes without a word of them, and this machine counts alone"


def test_an_account_is_idle_once_nothing_in_it_matters():
    ours = account()
    ours.at = 100.0
    assert not ours.is_idle(219.0)
    assert ours.is_idle(220.0)
    ours.block(500, 418, now=100.0)
    assert not ours.is_idle(599.0)

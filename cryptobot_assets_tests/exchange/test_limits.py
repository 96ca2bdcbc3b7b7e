from __future__ import annotations

from cryptobot_assets.exchange.limits import WeightLimiter


class Seconds:
    """Real time that a test turns on by hand."""

    def __init__(self) -> None:
        self.now = 600.0

    def __call__(self) -> float:
        return self.now


def test_weight_adds_up_by_address_and_starts_anew_each_minute() -> None:
    seconds = Seconds()
    limiter = WeightLimiter(per_minute=10, seconds=seconds)
    assert [limiter.spend("a", 4).used, limiter.spend("a", 4).used, limiter.spend("b", 2).used] == [4, 8, 2]
    seconds.now += 60
    assert limiter.spend("a", 4).used == 4


def test_over_the_limit_is_a_wait_until_the_next_minute() -> None:
    seconds = Seconds()
    limiter = WeightLimiter(per_minute=10, seconds=seconds)
    seconds.now += 15.5
    assert limiter.spend("a", 10).status == 200
    refused = limiter.spend("a", 1)
    assert (refused.status, refused.used, refused.retry_after_seconds) == (429, 11, 45)
    seconds.now += refused.retry_after_seconds
    assert limiter.spend("a", 1).status == 200


def test_going_on_in_spite_of_it_is_a_ban_that_grows() -> None:
    seconds = Seconds()
    limiter = WeightLimiter(per_minute=1, patience=2, seconds=seconds)
    statuses = [limiter.spend("a", 1).status for _ in range(5)]
    assert statuses == [200, 429, 429, 418, 418]
    assert limiter.spend("b", 1).status == 200
    assert limiter.spend("a", 1).retry_after_seconds == 120
    seconds.now += 120
    assert limiter.spend("a", 1).status == 200
    again = [limiter.spend("a", 1) for _ in range(3)][-1]
    assert (again.status, again.retry_after_seconds) == (418, 240)
    seconds.now += 239
    assert limiter.spend("a", 1).status == 418

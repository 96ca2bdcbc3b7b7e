"""Patience: faults that may pass are waited out with growing pauses, and nothing is fetched twice."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import polars as pl
import pytest

from cryptobot_assets.assets.patience import LONGEST_SECONDS, Patience, ask_patiently, fetch_patiently
from cryptobot_assets.contracts.factories import START
from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.domain.sources import Span
from cryptobot_assets.errors import BadKlines, ExchangeError, ExchangeUnreachable, RateLimited
from cryptobot_assets.progress import Progress, Silent
from cryptobot_assets.storage.history import Fetched

SPANS = [Span(name, START, START + DAY) for name in ("BTCUSDT", "ETHUSDT", "LTCUSDT")]
GONE = ExchangeUnreachable("nothing answers there")


class FakeHistory:
    """Gives a span each time it is asked, but where it has a fault to raise first."""

    def __init__(self, faults: dict[str, list[BaseException]]) -> None:
        self.faults = faults
        self.asked: list[list[str]] = []

    def fetch(self, spans: Iterable[Span], interval: str, progress: Progress, lives: object) -> Iterator[Fetched]:
        wanted = list(spans)
        self.asked.append([span.currency for span in wanted])
        for span in wanted:
            if self.faults.get(span.currency):
                raise self.faults[span.currency].pop(0)
            yield Fetched(span, span.start, span.end, pl.DataFrame(), [])


def fetch(history: FakeHistory, retries: int = 3) -> tuple[list[str], list[float]]:
    """Currencies given, and the pauses made."""
    pauses: list[float] = []
    patience = Patience(retries, 10.0, sleep=pauses.append, jitter=lambda: 0.5)
    log = logging.getLogger("test")
    return [one.span.currency for one in fetch_patiently(history, SPANS, "1h", Silent(), patience, log)], pauses


def test_it_goes_on_with_the_span_that_failed():
    history = FakeHistory({"ETHUSDT": [GONE, GONE]})
    given, pauses = fetch(history)
    assert given == ["BTCUSDT", "ETHUSDT", "LTCUSDT"]
    assert history.asked == [["BTCUSDT", "ETHUSDT", "LTCUSDT"], *[["ETHUSDT", "LTCUSDT"]] * 2]
    assert pauses == [10.0, 20.0]


def test_tries_are_counted_anew_once_a_span_came():
    given, pauses = fetch(FakeHistory({"BTCUSDT": [GONE] * 2, "LTCUSDT": [GONE] * 2}), retries=2)
    assert len(given) == 3
    assert pauses == [10.0, 20.0, 10.0, 20.0]


def test_an_exchange_down_for_longer_is_an_error_that_says_so():
    history = FakeHistory({"ETHUSDT": [GONE] * 9})
    with pytest.raises(ExchangeUnreachable, match="nothing answers there"):
        fetch(history, retries=2)
    assert len(history.asked) == 3


@pytest.mark.parametrize("fault", [BadKlines("wrong"), ExchangeError("no such symbol"), KeyboardInterrupt()])
def test_what_will_not_pass_and_an_interruption_are_not_tried_again(fault: BaseException):
    history = FakeHistory({"BTCUSDT": [fault]})
    with pytest.raises(type(fault)):
        fetch(history)
    assert len(history.asked) == 1


def test_the_exchange_is_obeyed_when_it_asks_for_more_and_not_waited_for_for_ever():
    soon = RateLimited("wait", status=429, retry_after_seconds=45.0)
    assert fetch(FakeHistory({"BTCUSDT": [soon, GONE]}))[1] == [45.0, 20.0]
    ban = RateLimited("banned", status=418, retry_after_seconds=LONGEST_SECONDS + 1)
    with pytest.raises(RateLimited):
        fetch(FakeHistory({"BTCUSDT": [ban]}))


def test_pauses_are_spread_and_bounded():
    patience = Patience(20, 10.0)
    drawn = {patience.pause_seconds(0, GONE) for _ in range(50)}
    assert len(drawn) > 10 and min(drawn) >= 5.0 and max(drawn) <= 15.0
    assert patience.pause_seconds(19, GONE) == LONGEST_SECONDS
    assert patience.pause_seconds(20, GONE) is None


@pytest.mark.parametrize(("faults", "pauses"), [(2, [10.0, 20.0]), (4, [10.0, 20.0, 40.0])])
def test_one_question_is_asked_again_until_patience_ends(faults: int, pauses: list[float]):
    made: list[float] = []
    left = [GONE] * faults

    def ask() -> str:
        if left:
            raise left.pop()
        return "answer"

    patience = Patience(3, 10.0, sleep=made.append, jitter=lambda: 0.5)
    if faults <= 3:
        assert ask_patiently(ask, patience, logging.getLogger("test")) == "answer"
    else:
        with pytest.raises(ExchangeUnreachable):
            ask_patiently(ask, patience, logging.getLogger("test"))
    assert made == pauses

"""Patience with the exchange: a fault that may pass is waited out, and only what is missing asked for again."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from cryptobot_assets.domain.sources import Span
from cryptobot_assets.errors import ExchangeError, ExchangeUnreachable, RateLimited
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.history import Fetched, History, Life

Answer = TypeVar("Answer")

LONGEST_SECONDS = 300.0


@dataclass(frozen=True)
class Patience:
    """How long a run waits for an exchange that is down, on top of what each request is tried.

    Attributes:
        retries: tries after the first one, counted anew with every span that comes.
        first_seconds: pause before the first of them; each later one is twice as long, give or take half of
            it, so that many who failed together do not come back together.
        sleep, jitter: replaced in tests.
    """

    retries: int
    first_seconds: float
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pause_seconds(self, attempt: int, fault: ExchangeError) -> float | None:
        """How long to wait before try number `attempt + 1`, at least what the exchange asks for; None to give up."""
        asked = fault.retry_after_seconds if isinstance(fault, RateLimited) else 0.0
        if attempt >= self.retries or asked > LONGEST_SECONDS:
            return None
        doubled = self.first_seconds * 2.0**attempt * (0.5 + self.jitter())
        return max(asked, min(doubled, LONGEST_SECONDS))


def ask_patiently(ask: Callable[[], Answer], patience: Patience, log: logging.Logger) -> Answer:
    """What `ask` returns; after a fault that may pass it is called again.

    Raises:
        ExchangeUnreachable, RateLimited: still so after the last try, or asked to wait for too long.
    """
    attempt = 0
    while True:
        try:
            return ask()
        except (ExchangeUnreachable, RateLimited) as fault:
            wait_or_raise(fault, attempt, patience, log)
            attempt += 1


def wait_or_raise(fault: ExchangeError, attempt: int, patience: Patience, log: logging.Logger) -> None:
    """Wait as long as patience has it, or raise the fault when it has come to its end."""
    pause = patience.pause_seconds(attempt, fault)
    if pause is None:
        raise fault
    log.warning("%s; try %d of %d in %.0f s", fault, attempt + 1, patience.retries, pause)
    patience.sleep(pause)


def fetch_patiently(
    history: History,
    spans: Iterable[Span],
    interval: str,
    progress: Progress,
    patience: Patience,
    log: logging.Logger,
    lives: Mapping[str, Life] | None = None,
) -> Generator[Fetched]:
    """As `History.fetch`; after a fault that may pass it goes on with the span that failed.

    Raises:
        ExchangeUnreachable, RateLimited: still so after the last try, or asked to wait for too long.
        BadKlines, ExchangeError: at once; trying again would not mend them. So with an interruption.
    """
    left = deque(spans)
    attempt = 0
    while left:
        try:
            with closing(history.fetch(list(left), interval, progress, lives)) as fetched:
                for block in fetched:
                    yield block
                    left.popleft()
                    attempt = 0
        except (ExchangeUnreachable, RateLimited) as fault:
            wait_or_raise(fault, attempt, patience, log)
            attempt += 1

"""Messages on their way: a channel that fails is tried again later, less and less often, for a day."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptobot_assets.alerts.book import Message
from cryptobot_assets.alerts.channels import Channel
from cryptobot_assets.errors import AlertNotSent

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
KEPT = timedelta(days=1)
MOST_SECONDS = 20.0
"""For one delivery; what is not sent by then waits for the next."""

MOST_WAITING = 50
"""Letters a channel; the oldest are dropped."""


@dataclass(frozen=True)
class Letter:
    """One message to one channel.

    Attributes:
        channel: name of the channel.
        tries: how often it was tried in vain.
        due: when it is tried next.
    """

    channel: str
    message: Message
    tries: int
    due: datetime


def post(waiting: Sequence[Letter], messages: Sequence[Message], channels: Sequence[Channel]) -> list[Letter]:
    """What waits once these messages are to go to every channel; channels that are no more drop out."""
    letters = [one for one in waiting if one.channel in {channel.name for channel in channels}]
    letters += [Letter(channel.name, message, 0, message.at) for message in messages for channel in channels]
    return [
        one for channel in channels for one in [one for one in letters if one.channel == channel.name][-MOST_WAITING:]
    ]


def deliver(letters: Sequence[Letter], channels: Sequence[Channel], now: datetime, log: logging.Logger) -> list[Letter]:
    """Send what is due, in order; returns what could not be sent, to be tried again.

    A channel that fails is left alone until the next delivery. Failures are logged and never raised.
    """
    left: list[Letter] = []
    started = time.monotonic()
    for channel in channels:
        down = False
        for letter in [one for one in letters if one.channel == channel.name]:
            if down or letter.due > now or time.monotonic() - started > MOST_SECONDS:
                left.append(letter)
                down = True
                continue
            try:
                channel.send(letter.message)
            except AlertNotSent as error:
                down = True
                left += _again(letter, error, now, log)
    return left


def _again(letter: Letter, error: AlertNotSent, now: datetime, log: logging.Logger) -> list[Letter]:
    if now - letter.message.at > KEPT:
        log.error("%s; given up after %d tries: %s", error, letter.tries + 1, letter.message.title)
        return []
    pause = min(FIRST_PAUSE * 2**letter.tries, LONGEST_PAUSE)
    log.warning("%s; tried again in %.0f s: %s", error, pause.total_seconds(), letter.message.title)
    return [replace(letter, tries=letter.tries + 1, due=now + pause)]

"""`cryptobot alert`: a test message over every channel, so that the settings can be believed."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

from cryptobot_assets.alerts.book import Message, Problem
from cryptobot_assets.alerts.channels import Channel, open_channels
from cryptobot_assets.cli.console import say
from cryptobot_assets.errors import AlertNotSent
from cryptobot_assets.settings import Settings

NO_CHANNEL = (
    "no channel is set, messages go to the log alone: set CRYPTOBOT_ALERT_WEBHOOK, or CRYPTOBOT_ALERT_SMTP and "
    "CRYPTOBOT_ALERT_EMAIL"
)


def run_alert(settings: Settings, text: str) -> None:
    """Send a message over every channel and say what came of each.

    Raises:
        AlertNotSent: a channel failed; every other one was tried all the same.
    """
    channels = open_channels(settings)
    if not channels:
        say(NO_CHANNEL)
    now = datetime.now(UTC)
    problem = Problem(
        cause="test",
        title=text,
        reason=f"someone ran `cryptobot alert` on {socket.gethostname()}",
        advice="nothing: this is a test",
    )
    message = Message(state="test", problem=problem, since=now, at=now)
    failed = [channel.name for channel in channels if not _sent(channel, message)]
    if failed:
        raise AlertNotSent(f"{len(failed)} of {len(channels)} channels failed: correct what is set for them")


def _sent(channel: Channel, message: Message) -> bool:
    try:
        channel.send(message)
    except AlertNotSent as error:
        say(f"failed  {error}")
        return False
    say(f"sent    {channel.name}")
    return True

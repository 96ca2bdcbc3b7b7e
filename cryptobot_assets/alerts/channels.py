"""Where messages go besides the log: the channels the settings name."""

from __future__ import annotations

from typing import Protocol

from cryptobot_assets.alerts.book import Message
from cryptobot_assets.settings import Settings


class Channel(Protocol):
    """One way to people."""

    @property
    def name(self) -> str:
        """What logs call it; no secret in it."""

    def send(self, message: Message) -> None:
        """Send one message within seconds.

        Raises:
            AlertNotSent: it did not get there; the line says why, without secrets.
        """


def open_channels(settings: Settings) -> list[Channel]:
    """The channels the settings name; connections are made when something is sent."""
    channels: list[Channel] = []
    if settings.alert_webhook is not None:
        from cryptobot_assets.alerts.webhook import Webhook

        channels.append(Webhook(settings.alert_webhook.get_secret_value()))
    if settings.alert_email and settings.alert_smtp is not None:
        from cryptobot_assets.alerts.mail import Mail

        channels.append(
            Mail(settings.alert_smtp.get_secret_value(), to=settings.alert_email, sender=settings.alert_from)
        )
    return channels

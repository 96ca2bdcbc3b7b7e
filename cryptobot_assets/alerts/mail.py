"""Messages by e-mail."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from urllib.parse import unquote, urlsplit

from cryptobot_assets.alerts.book import Message
from cryptobot_assets.errors import AlertNotSent

TIMEOUT_SECONDS = 10.0
PORTS = {"smtp": 587, "smtps": 465}
THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


class Mail:
    """Sends through one server.

    Args:
        url: `smtp://user:password@host:587`, encrypted by STARTTLS where the server offers it, or
            `smtps://...:465`, encrypted from the start. A password goes to another machine only encrypted.
        to: whom to.
        sender: whom from; the first of `to` when None.
        context: how a server's certificate is judged; the system's way when None.
    """

    def __init__(
        self, url: str, *, to: Sequence[str], sender: str | None = None, context: ssl.SSLContext | None = None
    ) -> None:
        self._server = urlsplit(url)
        self._to = tuple(to)
        self._sender = sender or self._to[0]
        self._context = context
        self.name = f"e-mail to {', '.join(self._to)} by {self._server.hostname}"

    def send(self, message: Message) -> None:
        """See `Channel.send`."""
        try:
            with self._connect() as connection:
                self._log_in(connection)
                connection.send_message(self._letter(message), self._sender, self._to)
        except smtplib.SMTPResponseException as error:
            raise AlertNotSent(f"{self.name}: the server said {error.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused:
            raise AlertNotSent(f"{self.name}: the server refused every recipient") from None
        except (smtplib.SMTPException, ssl.SSLError) as error:
            raise AlertNotSent(f"{self.name}: {type(error).__name__}") from None
        except TimeoutError:
            raise AlertNotSent(f"{self.name}: no answer within {TIMEOUT_SECONDS:.0f} s") from None
        except OSError as error:
            raise AlertNotSent(f"{self.name}: nothing answers there ({error.strerror})") from None

    def _connect(self) -> smtplib.SMTP:
        host, port = self._server.hostname or "", self._server.port or PORTS[self._server.scheme]
        if self._server.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=self._tls())
        return smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)

    def _log_in(self, connection: smtplib.SMTP) -> None:
        connection.ehlo()
        encrypted = self._server.scheme == "smtps"
        if not encrypted and connection.has_extn("starttls"):
            connection.starttls(context=self._tls())
            connection.ehlo()
            encrypted = True
        if self._server.username is None:
            return
        if not encrypted and self._server.hostname not in THIS_MACHINE:
            raise AlertNotSent(f"{self.name}: the server offers no encryption, so the password is not sent")
        connection.login(unquote(self._server.username), unquote(self._server.password or ""))

    def _tls(self) -> ssl.SSLContext:
        return self._context or ssl.create_default_context()

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["From"] = self._sender
        letter["To"] = ", ".join(self._to)
        letter["Subject"] = f"[cryptobot] {message.title}"
        letter["Date"] = format_datetime(message.at)
        letter["Message-ID"] = make_msgid(domain=socket.gethostname())
        letter.set_content(message.text)
        return letter

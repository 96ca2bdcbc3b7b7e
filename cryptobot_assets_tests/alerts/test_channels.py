"""Channels over real sockets: what arrives, and what is said of one that does not work, without its secrets."""

from __future__ import annotations

import email
import email.policy
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from cryptobot_assets.alerts import mail, webhook
from cryptobot_assets.alerts.book import Message
from cryptobot_assets.alerts.channels import open_channels
from cryptobot_assets.alerts.mail import Mail
from cryptobot_assets.alerts.webhook import Webhook
from cryptobot_assets.errors import AlertNotSent
from cryptobot_assets.processes import free_port
from cryptobot_assets.settings import Settings
from cryptobot_assets_tests.alerts.servers import (
    PASSWORD,
    USER,
    MailServer,
    Received,
    make_certificate,
    running_mail_server,
    running_webhook,
)
from cryptobot_assets_tests.alerts.test_book import DOWN, NOW

MESSAGE = Message(state="failed", problem=DOWN, since=NOW, at=NOW)
TO = ("ann@example.org", "bob@example.org")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def receiver() -> Iterator[Received]:
    with running_webhook() as received:
        yield received


def send_mail(
    server: MailServer, certificate: Path, *, scheme: str = "smtp", login: str = f"{USER}:{quote(PASSWORD, '')}@"
):
    """Send one message to a running server whose certificate is trusted."""
    trusted = ssl.create_default_context(cafile=str(certificate))
    Mail(f"{scheme}://{login}127.0.0.1:{server.port}", to=TO, sender="robot@example.org", context=trusted).send(MESSAGE)


def test_a_webhook_gets_the_text_and_its_parts(receiver: Received) -> None:
    Webhook(receiver.url).send(MESSAGE)
    (body,) = receiver.bodies
    assert body["path"] == "/hooks/t0ken"
    assert body["text"] == body["content"] == MESSAGE.text
    assert (body["state"], body["title"], body["cause"]) == ("failed", "klines failed", DOWN.cause)
    assert body["subjects"] == list(DOWN.subjects) and body["links"] == list(DOWN.links)
    assert body["at"] == "2024-03-01T12:00:00+00:00"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_answer_that_is_no_yes_is_a_failure(receiver: Received, status: int) -> None:
    receiver.status = status
    with pytest.raises(AlertNotSent, match=f"^webhook at 127.0.0.1 refused the message: HTTP {status}$"):
        Webhook(receiver.url).send(MESSAGE)


def test_a_webhook_that_is_down_or_slow_is_told_without_its_token(
    receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AlertNotSent, match=r"^webhook at 127.0.0.1 cannot be reached \(ConnectionError\)$"):
        Webhook(f"http://127.0.0.1:{free_port()}/hooks/t0ken").send(MESSAGE)
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.1)
    receiver.delay_seconds = 0.5
    with pytest.raises(AlertNotSent, match="did not answer within 0 s") as refusal:
        Webhook(receiver.url).send(MESSAGE)
    assert "t0ken" not in str(refusal.value) and refusal.value.__suppress_context__


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_letter_is_sent_encrypted_after_a_login(certificate: Path, scheme: str) -> None:
    with running_mail_server(MailServer(tls_from_the_start=scheme == "smtps"), certificate) as server:
        send_mail(server, certificate, scheme=scheme)
    assert server.logins == [(USER, PASSWORD, True)]
    letter = email.message_from_string(server.letters[0], policy=email.policy.default)
    assert (letter["Subject"], letter["From"]) == ("[cryptobot] klines failed", "robot@example.org")
    assert letter["To"] == "ann@example.org, bob@example.org"
    assert letter["Date"].datetime == NOW and letter["Message-ID"]
    assert letter.get_content().replace("\r\n", "\n").startswith(MESSAGE.text)
    assert server.commands.count("RCPT") == 2


def test_no_login_where_the_address_names_none(certificate: Path) -> None:
    with running_mail_server(MailServer(starttls=False, wants_login=False), certificate) as server:
        send_mail(server, certificate, login="")
    assert len(server.letters) == 1 and server.logins == []


def test_a_password_is_not_sent_in_the_clear_to_another_machine(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "THIS_MACHINE", set())
    with (
        running_mail_server(MailServer(starttls=False), certificate) as server,
        pytest.raises(AlertNotSent, match="offers no encryption, so the password is not sent"),
    ):
        send_mail(server, certificate)
    assert server.logins == [] and server.letters == []


@pytest.mark.parametrize(
    ("server", "login", "words"),
    [
        (MailServer(), f"{USER}:wrong@", "the server said 535"),
        (MailServer(wants_login=False, refuses="RCPT"), "", "the server refused every recipient"),
        (MailServer(wants_login=False, refuses="DATA"), "", "the server said 550"),
        (MailServer(wants_login=True), "", "the server said 530"),
    ],
)
def test_what_a_mail_server_refuses_is_one_line_without_the_password(
    certificate: Path, server: MailServer, login: str, words: str
) -> None:
    with running_mail_server(server, certificate), pytest.raises(AlertNotSent, match=words) as refusal:
        send_mail(server, certificate, login=login)
    assert str(refusal.value).startswith("e-mail to ann@example.org, bob@example.org by 127.0.0.1: ")
    assert "wrong" not in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_certificate_nobody_vouches_for_is_refused_and_so_is_a_dead_port(certificate: Path) -> None:
    with running_mail_server(MailServer(), certificate) as server:
        stranger = Mail(f"smtp://{USER}:x@127.0.0.1:{server.port}", to=TO)
        with pytest.raises(AlertNotSent, match="SSLCertVerificationError"):
            stranger.send(MESSAGE)
    assert server.logins == []
    with pytest.raises(AlertNotSent, match="nothing answers there"):
        Mail(f"smtp://127.0.0.1:{free_port()}", to=TO).send(MESSAGE)


def test_the_settings_name_the_channels(tmp_path: Path) -> None:
    assert open_channels(Settings.load(home=tmp_path)) == []
    both = Settings.load(
        home=tmp_path, alert_webhook="https://chat.example.org/hooks/t0ken", alert_email="ann@example.org",
        alert_smtp=f"smtp://{USER}:{quote(PASSWORD, '')}@mail.example.org",
    )  # fmt: skip
    names = [channel.name for channel in open_channels(both)]
    assert names == ["webhook at chat.example.org", "e-mail to ann@example.org by mail.example.org"]
    for text in (repr(both), str(both.model_dump()), *names):
        assert "t0ken" not in text and "s3cret" not in text

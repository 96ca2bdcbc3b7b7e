"""`cryptobot alert`: a test message that really arrives, and a clear word where it does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryptobot_assets.processes import free_port
from cryptobot_assets_tests.alerts.servers import Received, running_webhook
from cryptobot_assets_tests.cli.conftest import Run


@pytest.fixture
def receiver() -> Iterator[Received]:
    with running_webhook() as received:
        yield received


def test_the_message_arrives(run: Run, receiver: Received) -> None:
    outcome = run("alert", "hello out there", ALERT_WEBHOOK=receiver.url)
    assert (outcome.code, outcome.out) == (0, "sent    webhook at 127.0.0.1\n")
    (body,) = receiver.bodies
    assert body["state"] == "test" and body["text"].startswith("Test: hello out there\n")


def test_a_channel_that_fails_is_named_and_the_others_are_tried(run: Run, receiver: Received) -> None:
    outcome = run(
        "alert", ALERT_WEBHOOK=receiver.url, ALERT_EMAIL="ann@example.org",
        ALERT_SMTP=f"smtp://robot:s3cret@127.0.0.1:{free_port()}",
    )  # fmt: skip
    assert outcome.require_refusal(1) == "1 of 2 channels failed: correct what is set for them"
    assert outcome.out.splitlines() == [
        "sent    webhook at 127.0.0.1",
        "failed  e-mail to ann@example.org by 127.0.0.1: nothing answers there (Connection refused)",
    ]
    assert len(receiver.bodies) == 1


def test_without_a_channel_it_says_what_to_set(run: Run) -> None:
    outcome = run("alert")
    assert outcome.code == 0 and "set CRYPTOBOT_ALERT_WEBHOOK" in outcome.out


def test_a_setting_that_cannot_be_meant_is_refused_without_showing_it(run: Run) -> None:
    refusal = run("alert", ALERT_WEBHOOK="s3cret").require_refusal(2)
    assert refusal.startswith("setting CRYPTOBOT_ALERT_WEBHOOK: ") and "s3cret" not in refusal

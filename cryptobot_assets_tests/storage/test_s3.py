"""The lake in a bucket: the store contract, and what is particular to S3, on a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import count

import pytest
from polars.testing import assert_frame_equal

from cryptobot_assets.contracts.factories import START
from cryptobot_assets.contracts.stores import StoreContract
from cryptobot_assets.contracts.table_rows import END, priced
from cryptobot_assets.errors import StoreError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.s3 import s3_options
from cryptobot_assets.storage.store import KLINES, Store, open_store
from cryptobot_assets_tests.storage.s3_server import S3Server, free_ports, running_s3, s3_environment

pytestmark = pytest.mark.platform

NUMBERS = count(1)


def open_at(address: str) -> Store:
    """As every command opens it: settings from the environment."""
    return open_store(Settings.load(store_url=address))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def address(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_environment(server.endpoint).items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/lake/{next(NUMBERS)}"


class TestS3(StoreContract):
    opener = open_at


def test_credentials_are_asked_for(address: str, server: S3Server, monkeypatch: pytest.MonkeyPatch):
    open_at(address).replace(KLINES, priced(1.0), start=START, end=END)
    for name, value in s3_environment(server.endpoint, secret="wr0ng").items():
        monkeypatch.setenv(name, value)
    for work in (
        lambda: open_at(address).read(KLINES),
        lambda: open_at(address).query("SELECT * FROM klines"),
        lambda: open_at(address).replace(KLINES, priced(2.0), start=START, end=END),
    ):
        with pytest.raises(StoreError, match=r"cannot (read|create).*s3://bucket/lake/.*privileges") as refusal:
            work()
        assert "wr0ng" not in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_bucket_that_is_not_there_is_one_clear_line(address: str):
    with pytest.raises(
        StoreError, match=r"cannot read the store at s3://nowhere/lake: .*bucket does not exist"
    ) as refusal:
        open_at("s3://nowhere/lake").replace(KLINES, priced(1.0), start=START, end=END)
    assert "\n" not in str(refusal.value)


def test_a_server_that_is_away_is_one_clear_line(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(StoreError, match="cannot read the store at s3://bucket/lake") as refusal:
        open_at(address).read(KLINES)
    assert "\n" not in str(refusal.value)


def test_a_server_killed_in_the_middle_of_writes_and_started_again_loses_nothing(address: str, server: S3Server):
    store, prices, failures = open_at(address), [], []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                store.replace(KLINES, priced(len(prices) + 1.0), start=START, end=END, currency="BTCUSDT")
                prices.append(len(prices) + 1.0)
            except StoreError as error:
                failures.append(str(error))

    def wait_for_writes() -> None:
        reached, deadline = len(prices) + 2, time.monotonic() + 120
        while len(prices) < reached and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(prices) >= reached, failures

    writer = threading.Thread(target=work)
    writer.start()
    try:
        wait_for_writes()
        server.stop()
        server.start()
        wait_for_writes()
    finally:
        stop.set()
        writer.join(60)
    assert not any("\n" in told for told in failures)
    assert_frame_equal(open_at(address).read(KLINES), priced(prices[-1]))


@pytest.mark.parametrize(
    ("endpoint", "allowed"),
    [
        (None, False),
        ("https://127.0.0.1:9000", False),
        ("http://s3.example.com", False),
        ("http://localhost:9000", True),
        ("http://127.0.0.1:9000", True),
        ("http://[::1]:9000", True),
    ],
)  # fmt: skip
def test_only_this_machine_is_spoken_to_unencrypted(endpoint: str | None, allowed: bool):
    assert s3_options(endpoint).get("aws_allow_http") == ("true" if allowed else None)

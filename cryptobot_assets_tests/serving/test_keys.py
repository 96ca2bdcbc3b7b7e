"""Keys that are made, rotated and revoked while the service runs, and how often each may ask."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from cryptobot_assets.errors import UsageError
from cryptobot_assets.serving import door
from cryptobot_assets.serving.app import ROUTES, make_app
from cryptobot_assets.serving.desk import Desk
from cryptobot_assets.serving.keys import KeyRing, make_key, read_keys, revoke_key
from cryptobot_assets.serving.limits import RateLimit
from cryptobot_assets_tests.serving.fakes import FakeFeatures, FakeShelf, make_served
from cryptobot_assets_tests.serving.sockets import over_a_socket
from cryptobot_assets_tests.serving.test_seats import Kept

NOW = datetime(2024, 5, 13, tzinfo=UTC)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "file.json"


@pytest.fixture
def service(path: Path, clock: Clock, tmp_path: Path) -> Iterator[tuple[httpx.Client, Kept]]:
    log = Kept()
    desk = Desk(
        shelf=FakeShelf(make_served()), source=FakeFeatures(), market="ALL", log=log,
        keys=KeyRing("settings' own", path, clock=clock), limit=RateLimit(tmp_path / "limits", 8, clock=clock),
    )  # fmt: skip
    with over_a_socket(make_app(lambda: desk)) as client:
        yield client, log


def ask(client: httpx.Client, key: str) -> int:
    headers = {"X-API-Key": key}
    return client.post("/predict", json={"currency": "BTCUSDT"}, headers=headers).status_code


def test_keys_are_rotated_without_a_restart(service: tuple[httpx.Client, Kept], path: Path, clock: Clock) -> None:
    client, log = service
    assert ask(client, "settings' own") == 200
    first = make_key(path, "alice", NOW)
    clock.now += 20
    assert (ask(client, first), ask(client, first + "x"), ask(client, "")) == (200, 401, 401)
    second = make_key(path, "alice-2", NOW)
    clock.now += 20
    assert (ask(client, first), ask(client, second)) == (200, 200)
    revoke_key(path, "alice")
    clock.now += 20
    assert (ask(client, first), ask(client, second)) == (401, 200)
    path.write_text("{")
    clock.now += 20
    assert ask(client, second) == 200, "keys known before stay when the file cannot be read"
    path.unlink()
    clock.now += 20
    assert (ask(client, second), ask(client, "settings' own")) == (401, 200)
    callers = [reply.caller for reply in log]
    assert callers == ["CRYPTOBOT_API_KEY", "alice", "alice", "alice-2", "alice-2", "alice-2", "CRYPTOBOT_API_KEY"]


def test_each_key_may_ask_so_often_and_no_key_pays_for_another(
    service: tuple[httpx.Client, Kept], path: Path, clock: Clock
) -> None:
    client, _ = service
    alice, bob = make_key(path, "alice", NOW), make_key(path, "bob", NOW)
    assert [ask(client, alice) for _ in range(4)] == [200, 200, 429, 429]
    refused = client.get("/models", headers={"X-API-Key": alice})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "8"
    assert refused.json()["error"]["code"] == "too_many_requests"
    assert ask(client, bob) == 200
    assert client.get("/readyz", headers={"X-API-Key": alice}).status_code == 200
    clock.now += 8
    assert [ask(client, alice) for _ in range(2)] == [200, 429]


def test_workers_count_together_and_a_machine_that_was_started_anew_counts_anew(tmp_path: Path, clock: Clock) -> None:
    limits = [RateLimit(tmp_path, 60, clock=clock) for _ in range(3)]
    passed = sum(limits[number % 3].wait_seconds("alice") == 0 for number in range(40))
    assert passed == 15
    minute = 0
    for _ in range(600):
        clock.now += 0.1
        minute += limits[0].wait_seconds("alice") == 0
    assert minute == pytest.approx(60, abs=1)
    clock.now = 3.0
    assert limits[1].wait_seconds("alice") == 0


def test_the_file_holds_hashes_alone_and_is_its_owners(path: Path) -> None:
    key = make_key(path, "alice", NOW)
    assert key not in path.read_text() and key.removeprefix("cryptobot_") not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(key) > 40
    for name in ("alice", "", "a b", "x" * 41, "../up"):
        with pytest.raises(UsageError):
            make_key(path, name, NOW)
    with pytest.raises(UsageError, match="there are: alice"):
        revoke_key(path, "bob")
    assert [one.name for one in read_keys(path)] == ["alice"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"keys": [{"name": "a"}]}', '{"keys": [{"name":1,"sha256":"","made_at":""}]}']
)
def test_a_file_that_is_no_file_of_keys_is_left_alone(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UsageError, match="cannot be read as keys"):
        make_key(path, "alice", NOW)
    assert path.read_text() == text
    assert KeyRing(None, path).holder(b"") is None


def test_every_reply_carries_the_headers_that_keep_browsers_safe(service: tuple[httpx.Client, Kept]) -> None:
    client, _ = service
    for path, method in [*ROUTES.items(), ("/nothing", "GET")]:
        headers = client.request(method, path, content=b"{").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_request_that_takes_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "REPLY_SECONDS", 0.2)
    monkeypatch.setattr(door, "UPLOAD_SECONDS", 5.0)
    desk = Desk(shelf=FakeShelf(make_served()), source=FakeFeatures(), market="ALL")

    def slowly() -> Iterator[bytes]:
        yield b'{"currency": '
        threading.Event().wait(1)
        yield b'"BTCUSDT"}'

    with over_a_socket(make_app(lambda: desk)) as client:
        late = client.post("/predict", content=slowly())
        assert (late.status_code, late.json()["error"]["code"]) == (503, "too_slow")
        assert client.get("/livez").status_code == 200

"""How long one answer is waited for, and what is said when none comes: real sockets that misbehave."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from cryptobot_assets.errors import ExchangeError, ExchangeUnreachable, RateLimited
from cryptobot_assets.exchange.faults import parse_faults
from cryptobot_assets.storage.http import LONGEST_WAIT_SECONDS, PATIENCE_SECONDS, Http
from cryptobot_assets_tests.conftest import MakeExchange
from cryptobot_assets_tests.exchange.markets import make_market
from cryptobot_assets_tests.storage.scripts import Script, Sleeps, ok, on_clock_of

Listen = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """A server that treats each connection as told; its address."""
    with ExitStack() as stack:

        def start(treat: Callable[[socket.socket], None]) -> str:
            server = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
            threading.Thread(target=accept, args=(server, treat), daemon=True).start()
            return f"127.0.0.1:{server.getsockname()[1]}"

        yield start


def accept(server: socket.socket, treat: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=treat, args=(connection,), daemon=True).start()


def trickle(connection: socket.socket) -> None:
    """Never silent for long, and never done."""
    with closing(connection):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        try:
            while True:
                connection.sendall(b"1")
                time.sleep(0.02)
        except OSError:
            return


def reset(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def talk_plain(connection: socket.socket) -> None:
    with closing(connection):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address where nobody takes up a connection, nor refuses it."""
    with ExitStack() as stack:
        full = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        for _ in range(3):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


def why(client: Http) -> str:
    """The end of the message with which reading fails."""
    with pytest.raises(ExchangeUnreachable) as failure:
        client.get("/", {}, decode=bytes)
    assert "\n" not in str(failure.value)
    return str(failure.value).partition("gave no usable answer: ")[2]


def test_an_address_that_swallows_connections_is_given_up_in_time(black_hole: str):
    began = time.monotonic()
    assert why(Http(black_hole, timeout_seconds=0.2, patience_seconds=1.0, retries=99)) == "it did not answer in time"
    assert 0.3 < time.monotonic() - began < 20
    assert PATIENCE_SECONDS <= 30


def test_a_server_that_sends_a_little_now_and_then_is_given_up_in_time(listen: Listen):
    client = Http(f"http://{listen(trickle)}", timeout_seconds=0.5, patience_seconds=0.6, retries=99)
    began = time.monotonic()
    assert why(client) == "it did not answer in time"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("scheme", "treat", "cause"),
    [
        ("http", reset, "the connection broke off"),
        ("http", lambda connection: connection.close(), "the connection broke off"),
        ("https", talk_plain, "no encrypted connection comes about"),
    ],
    ids=["reset", "closed", "no TLS"],
)
def test_what_happened_is_said(listen: Listen, scheme: str, treat: Callable[[socket.socket], None], cause: str):
    assert why(Http(f"{scheme}://{listen(treat)}", retries=1, sleep=Sleeps())).startswith(cause)


@pytest.mark.parametrize(
    ("faults", "cause"),
    [
        ("reset:1", "the connection broke off"),
        ("truncate:1", "the connection broke off"),
        ("timeout:1,hang=30", "it did not answer in time"),
        ("timeout:1,hang=0", "the connection broke off"),
        ("500:1", "HTTP 500"),
        ("504:1", "HTTP 504"),
    ],
)
def test_each_fault_of_an_exchange_is_named(make_exchange: MakeExchange, faults: str, cause: str):
    url = make_exchange(make_market(count=10), faults=parse_faults(faults))
    with pytest.raises(ExchangeUnreachable, match=cause):
        Http(url, timeout_seconds=0.3, retries=1, sleep=Sleeps()).get("/api/v3/time", {}, decode=bytes)


@pytest.mark.parametrize(("status", "advice"), [(403, "ask less often"), (451, "CRYPTOBOT_EXCHANGE_URL")])
def test_a_refusal_says_what_to_do_and_is_not_asked_again(make_exchange: MakeExchange, status: int, advice: str):
    url, sleeps = make_exchange(make_market(count=10), faults=parse_faults(f"{status}:1")), Sleeps()
    with pytest.raises(ExchangeError, match=advice) as refusal:
        Http(url, sleep=sleeps).get("/api/v3/time", {}, decode=bytes)
    assert (refusal.value.status, sleeps) == (status, [])


def test_a_ban_that_lasts_is_told_and_nobody_asks_meanwhile(serve):
    script = Script(time=[(418, {"Retry-After": "7200"}, b"{}"), ok({"serverTime": 1})])
    url, sleeps = serve(script), Sleeps()
    for wait in (7200, 7100):
        with pytest.raises(RateLimited, match=rf"asks to wait {wait} s \(HTTP 418\)") as refusal:
            Http(url, **on_clock_of(sleeps, url)).get("/time", {}, decode=bytes)
        assert refusal.value.retry_after_seconds == wait > LONGEST_WAIT_SECONDS
        sleeps(100)
    assert len(script.asked) == 1
    sleeps(7000)
    assert Http(url, **on_clock_of(sleeps, url)).get("/time", {}, decode=bytes)


def test_want_of_weight_is_not_waited_out_for_ever(serve):
    """Somebody behind the same address uses all of it, minute after minute."""
    busy = ok({"serverTime": 1}, **{"X-MBX-USED-WEIGHT-1M": "99999"})
    url, sleeps = serve(Script(time=[busy])), Sleeps()
    client = Http(url, longest_wait_seconds=50, **on_clock_of(sleeps, url))
    client.budget.block(30, 429)
    client.get("/time", {}, decode=bytes, weight=1)
    with client.budget.file.held() as (account, now):
        account.told_until = now + 55
    with pytest.raises(RateLimited, match="has no request weight left for this machine for another 55 s"):
        client.get("/time", {}, decode=bytes, weight=1)
    assert sleeps == [30]

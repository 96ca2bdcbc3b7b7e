"""Polite HTTP reading of the exchange, its REST data and its archives. The one home of requests there.

What may pass (a reset, a timeout, a body that breaks off or cannot be read, 5xx) is tried again with
growing pauses, until a bounded time is spent; 429 and 418 are obeyed by every process of the machine, as
long as `Retry-After` says; an answer the exchange means (an unknown symbol, a file that is not there, 403,
451) is raised at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import requests
from urllib3.exceptions import HTTPError

from cryptobot_assets.errors import ExchangeError, ExchangeUnreachable, RateLimited
from cryptobot_assets.storage.weight import Budget, Wait, retry_after_seconds

Answer = TypeVar("Answer")

LONGEST_PAUSE_SECONDS = 30.0
CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 300.0
"""A 429 asks for less than a minute and a first ban for two; who is banned for longer is to be told."""
CHUNK_BYTES = 2**18
REFUSALS = {
    403: "its firewall refuses this machine: wait, or ask less often",
    451: "it does not serve this place: set CRYPTOBOT_EXCHANGE_URL to an address that does",
}

_LOG = logging.getLogger(__name__)


class _Passing(Exception):
    """A fault of the server that may pass."""


FAULTS_THAT_MAY_PASS = (
    requests.RequestException,
    HTTPError,
    msgspec.DecodeError,
    _Passing,
)


class Http:
    """Reads from one address; safe from several threads.

    Args:
        url: base address.
        name: what errors call it.
        timeout_seconds: how long the server may be silent; connecting may take 5 at most.
        patience_seconds: how long one answer is tried for, pauses between tries included.
        retries: further tries after a fault that may pass.
        sleep: replaced in tests.
        longest_wait_seconds: a wait above it, asked for or for want of weight, is raised instead.
        heard: called with the headers of every good answer.
        budget: of request weight, shared with the other processes of this machine.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "exchange",
        timeout_seconds: float = 10.0,
        patience_seconds: float = PATIENCE_SECONDS,
        retries: int = 6,
        sleep: Callable[[float], None] = time.sleep,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
        heard: Callable[[Mapping[str, str]], None] = lambda headers: None,
        budget: Budget | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.budget = budget or Budget(self.url)
        self._name = name
        self._timeout = timeout_seconds
        self._patience = patience_seconds
        self._retries = retries
        self._sleep = sleep
        self._longest_wait = longest_wait_seconds
        self._heard = heard
        self._threads = threading.local()

    def get(self, path: str, query: Mapping[str, Any], *, decode: Callable[[bytes], Answer], weight: int = 0) -> Answer:
        """The decoded body at `path`; `msgspec.DecodeError` from `decode` counts as a fault that may pass.

        Args:
            weight: of the request, as the exchange counts it.

        Raises:
            RateLimited: still asked to wait after the last retry, or longer than the longest wait.
            ExchangeUnreachable: no usable answer after the last retry, or within the patience.
            ExchangeError: an answer of 4xx, with its status and the exchange's own code.
        """
        left = self._patience
        for attempt in range(self._retries + 1):
            self._take_turn(weight)
            began = time.monotonic()
            pause = min(0.2 * 2**attempt, LONGEST_PAUSE_SECONDS)
            try:
                return decode(self._once(path, query, left))
            except RateLimited:
                if attempt == self._retries:
                    raise
            except FAULTS_THAT_MAY_PASS as error:
                left -= time.monotonic() - began + pause
                if attempt == self._retries or left <= 0:
                    raise ExchangeUnreachable(
                        f"{self._name} {self.url} gave no usable answer: {_cause(error)}"
                    ) from error
                self._sleep(pause)
        raise AssertionError("unreachable")

    def _take_turn(self, weight: int) -> None:
        """Wait until a request may be sent, and count it."""
        waited = 0.0
        while (wait := self.budget.reserve(weight)) is not None:
            waited += wait.seconds
            if waited > self._longest_wait:
                raise self._must_wait(wait)
            level = logging.WARNING if wait.status else logging.INFO
            _LOG.log(level, "%s %s: waiting %.0f s", self._name, self.url, wait.seconds)
            self._sleep(wait.seconds)

    def _must_wait(self, wait: Wait) -> RateLimited:
        asked = "asks to wait" if wait.status else "has no request weight left for this machine for another"
        reason = f" (HTTP {wait.status})" if wait.status else ""
        return RateLimited(
            f"{self._name} {self.url} {asked} {wait.seconds:.0f} s{reason}",
            status=wait.status or 429,
            retry_after_seconds=wait.seconds,
        )

    def _once(self, path: str, query: Mapping[str, Any], left_seconds: float) -> bytes:
        deadline = time.monotonic() + left_seconds
        silence = min(self._timeout, left_seconds)
        answer = self._session().get(
            self.url + path, params=query, timeout=(min(CONNECT_SECONDS, silence), silence), stream=True
        )
        body = _read(answer, deadline)
        self.budget.hear(answer.headers)
        if answer.status_code in (418, 429):
            wait = Wait(retry_after_seconds(answer.headers), answer.status_code)
            self.budget.block(wait.seconds, answer.status_code)
            raise self._must_wait(wait)
        if answer.status_code >= 500:
            raise _Passing(f"HTTP {answer.status_code}")
        if answer.status_code >= 400:
            raise self._meant_error(path, query, answer.status_code, body)
        self._heard(answer.headers)
        return body

    def _session(self) -> requests.Session:
        if not hasattr(self._threads, "session"):
            self._threads.session = requests.Session()
        session: requests.Session = self._threads.session
        return session

    def _meant_error(self, path: str, query: Mapping[str, Any], status: int, content: bytes) -> ExchangeError:
        try:
            body = msgspec.json.decode(content)
            code, message = int(body["code"]), str(body["msg"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            code, message = None, f"HTTP {status}"
        subject = f" for {query['symbol']}" if "symbol" in query else ""
        hint = f" ({REFUSALS[status]})" if status in REFUSALS else ""
        return ExchangeError(f"{self._name} {self.url}{path}{subject}: {message}{hint}", status=status, code=code)


def _read(answer: requests.Response, deadline: float) -> bytes:
    """The whole body; a server that sends a little now and then is given up at the deadline all the same."""
    parts = []
    while part := answer.raw.read1(CHUNK_BYTES, decode_content=True):
        parts.append(part)
        if time.monotonic() > deadline:
            answer.close()
            raise requests.Timeout
    return b"".join(parts)


def _cause(error: Exception) -> str:
    text = str(error)
    if isinstance(error, requests.Timeout) or isinstance(error.__cause__, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "no encrypted connection comes about: check the address, and that its certificate is trusted here"
    if isinstance(error, HTTPError) or "aborted" in text:
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "its name is not known" if "NameResolution" in text else "nothing answers there"
    return text.splitlines()[0] if text else type(error).__name__

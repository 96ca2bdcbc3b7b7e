"""Polite HTTP reading of the exchange, its REST data and its archives. The one home of requests there.

What may pass (a reset, a timeout, a body that breaks off or cannot be read, 5xx) is tried again with
growing pauses; 429 and 418 wait as long as `Retry-After` says; an answer the exchange means (an
unknown symbol, a file that is not there, 403, 451) is raised at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import requests

from cryptobot_assets.errors import ExchangeError, ExchangeUnreachable, RateLimited

Answer = TypeVar("Answer")

LONGEST_PAUSE_SECONDS = 30.0
REFUSALS = {
    403: "its firewall refuses this machine: wait, or ask less often",
    451: "it does not serve this place: set CRYPTOBOT_EXCHANGE_URL to an address that does",
}


class Http:
    """Reads from one address; safe from several threads.

    Args:
        url: base address.
        name: what errors call it.
        timeout_seconds: of connecting and of reading, each.
        retries: further tries after a fault that may pass.
        sleep: replaced in tests.
        longest_wait_seconds: a `Retry-After` above it is raised instead of waited for.
        heard: called with the headers of every good answer.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "exchange",
        timeout_seconds: float = 10.0,
        retries: int = 6,
        sleep: Callable[[float], None] = time.sleep,
        longest_wait_seconds: float = float("inf"),
        heard: Callable[[Mapping[str, str]], None] = lambda headers: None,
    ) -> None:
        self.url = url.rstrip("/")
        self._name = name
        self._timeout = timeout_seconds
        self._retries = retries
        self._sleep = sleep
        self._longest_wait = longest_wait_seconds
        self._heard = heard
        self._threads = threading.local()

    def get(self, path: str, query: Mapping[str, Any], *, decode: Callable[[bytes], Answer]) -> Answer:
        """The decoded body at `path`; `msgspec.DecodeError` from `decode` counts as a fault that may pass.

        Raises:
            RateLimited: still asked to wait after the last retry, or longer than the longest wait.
            ExchangeUnreachable: no usable answer after the last retry.
            ExchangeError: an answer of 4xx, with its status and the exchange's own code.
        """
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                return decode(self._once(path, query))
            except RateLimited as error:
                if last or error.retry_after_seconds > self._longest_wait:
                    raise
                self._sleep(error.retry_after_seconds)
            except (requests.RequestException, msgspec.DecodeError, _Passing) as error:
                if last:
                    raise ExchangeUnreachable(
                        f"{self._name} {self.url} gave no usable answer: {_cause(error)}"
                    ) from error
                self._sleep(min(0.2 * 2**attempt, LONGEST_PAUSE_SECONDS))
        raise AssertionError("unreachable")

    def _once(self, path: str, query: Mapping[str, Any]) -> bytes:
        answer = self._session().get(self.url + path, params=query, timeout=self._timeout)
        if answer.status_code in (418, 429):
            wait = _seconds(answer.headers.get("Retry-After", ""))
            raise RateLimited(
                f"{self._name} {self.url} asks to wait {wait:g} s (HTTP {answer.status_code})",
                status=answer.status_code,
                retry_after_seconds=wait,
            )
        if answer.status_code >= 500:
            raise _Passing(f"HTTP {answer.status_code}")
        if answer.status_code >= 400:
            raise self._meant_error(path, query, answer)
        self._heard(answer.headers)
        return answer.content

    def _session(self) -> requests.Session:
        if not hasattr(self._threads, "session"):
            self._threads.session = requests.Session()
        return self._threads.session

    def _meant_error(self, path: str, query: Mapping[str, Any], answer: requests.Response) -> ExchangeError:
        try:
            body = msgspec.json.decode(answer.content)
            code, message = int(body["code"]), str(body["msg"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            code, message = None, f"HTTP {answer.status_code}"
        subject = f" for {query['symbol']}" if "symbol" in query else ""
        hint = f" ({REFUSALS[answer.status_code]})" if answer.status_code in REFUSALS else ""
        text = f"{self._name} {self.url}{path}{subject}: {message}{hint}"
        return ExchangeError(text, status=answer.status_code, code=code)


class _Passing(Exception):
    """A fault of the server that may pass."""


def _seconds(text: str) -> float:
    """Seconds to wait as a header gives them; 1 when it gives none."""
    return float(text) if text.isdecimal() else 1.0


def _cause(error: Exception) -> str:
    if isinstance(error, requests.ConnectionError):
        return "nothing answers there"
    if isinstance(error, requests.Timeout):
        return "it did not answer in time"
    return str(error).splitlines()[0]

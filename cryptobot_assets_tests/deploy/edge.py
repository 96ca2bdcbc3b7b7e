"""Calls to the edge as browsers and programs make them."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

from cryptobot_assets_tests.patience import PATIENCE_SECONDS

PORT = 8443


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    text: str


class Edge:
    """The edge at an address; its certificate is checked against the names it is called by."""

    def __init__(self, address: str, certificate: Path, *, domain: str = "localhost") -> None:
        self._address = address
        self._context = ssl.create_default_context(cafile=str(certificate))
        self._domain = domain

    def ask(self, name: str, path: str, *, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """The answer to a GET, or a POST of JSON, of `https://NAME.DOMAIN/PATH`, or of the bare domain.

        Raises:
            ConnectionError: the connection was closed without one.
        """
        host = f"{name}.{self._domain}" if name else self._domain
        connection = HTTPSConnection(host, PORT, timeout=PATIENCE_SECONDS)
        connection.sock = self._context.wrap_socket(
            socket.create_connection((self._address, PORT), timeout=PATIENCE_SECONDS), server_hostname=host
        )
        given = {"Content-Type": "application/json"} if body is not None else {}
        content = None if body is None else json.dumps(body)
        try:
            connection.request("GET" if body is None else "POST", path, content, given | (headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(errors="replace"))
        finally:
            connection.close()

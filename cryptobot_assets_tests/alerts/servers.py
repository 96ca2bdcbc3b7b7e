"""A webhook receiver and a mail server on real sockets of this machine."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cryptobot_assets_tests.patience import PATIENCE_SECONDS

USER, PASSWORD = "robot", "s3cret/word"


@dataclass
class Received:
    """What a receiver got; `status` is what it answers, after `delay_seconds`."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    delay_seconds: float = 0.0

    def until(
        self, true: Callable[[dict[str, Any]], bool], what: str, *, seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """The first body for which it is true; fails when none comes in time."""
        deadline = time.monotonic() + seconds
        while True:
            for body in list(self.bodies):
                if true(body):
                    return body
            assert time.monotonic() < deadline, f"no {what} in {seconds} s, only {self.bodies}"
            time.sleep(0.05)


@contextmanager
def running_webhook(token: str = "t0ken") -> Iterator[Received]:
    """Takes messages at an address with a token in it."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(received.delay_seconds)
            if received.status < 300:
                received.bodies.append({"path": self.path, **json.loads(body)})
            self.send_response(received.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}/hooks/{token}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class MailServer:
    """A mail server: what it offers, and the letters it took."""

    starttls: bool = True
    tls_from_the_start: bool = False
    wants_login: bool = True
    refuses: str = ""
    port: int = 0
    letters: list[str] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


@contextmanager
def running_mail_server(server: MailServer, certificate: Path) -> Iterator[MailServer]:
    """Speaks as much SMTP as smtplib needs: EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA, QUIT."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncio.Server:
        tls = context if server.tls_from_the_start else None
        return await asyncio.start_server(
            lambda reader, writer: _Session(server, context, reader, writer).run(), "127.0.0.1", 0, ssl=tls
        )

    listening = asyncio.run_coroutine_threadsafe(listen(), loop).result(PATIENCE_SECONDS)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Session:
    """One connection."""

    def __init__(
        self, server: MailServer, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._context = context
        self._reader = reader
        self._writer = writer
        self._encrypted = server.tls_from_the_start
        self._known = not server.wants_login

    async def run(self) -> None:
        await self._say("220 ready")
        while line := (await self._reader.readline()).decode().strip():
            command = line.split()[0].upper()
            self._server.commands.append(command)
            if command == self._server.refuses:
                await self._say("550 not here")
            elif command == "EHLO":
                await self._say(*self._offers())
            elif command == "STARTTLS":
                await self._say("220 go ahead")
                await self._writer.start_tls(self._context)
                self._encrypted = True
            elif command == "AUTH":
                await self._log_in(line.split()[2])
            elif not self._known and command == "MAIL":
                await self._say("530 who are you")
            elif command == "DATA":
                await self._say("354 go on")
                self._server.letters.append((await self._reader.readuntil(b"\r\n.\r\n")).decode())
                await self._say("250 taken")
            elif command == "QUIT":
                await self._say("221 bye")
                break
            else:
                await self._say("250 fine")
        self._writer.close()

    def _offers(self) -> list[str]:
        offers = ["AUTH PLAIN"]
        if self._server.starttls and not self._encrypted:
            offers.append("STARTTLS")
        return [f"250-{one}" for one in ["127.0.0.1", *offers[:-1]]] + [f"250 {offers[-1]}"]

    async def _log_in(self, answer: str) -> None:
        _, user, password = base64.b64decode(answer).decode().split("\0")
        self._server.logins.append((user, password, self._encrypted))
        self._known = (user, password) == (USER, PASSWORD)
        await self._say("235 welcome" if self._known else "535 wrong")

    async def _say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self._writer.drain()


def make_certificate(folder: Path) -> Path:
    """A certificate for this machine that vouches for itself, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    unlocked = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, pkcs8, unlocked)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path

"""Addresses of PostgreSQL stores: where they lead, that they are encrypted, and how to show them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from cryptobot_assets.errors import UsageError

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg")
ENCRYPTED = ("require", "verify-ca", "verify-full")
CONNECT_SECONDS = 10
FORM = "CRYPTOBOT_STORE_URL: write postgresql://user:password@host:5432/database"
HOST = re.compile(r"^(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(:(?P<port>\d{1,5}))?$")

STARTING = ("starting up", "not yet accepting connections")
"""What a server says that will answer soon: it starts, or recovers what a crash left."""


@dataclass(frozen=True)
class PostgresAddress:
    """One database.

    Attributes:
        libpq: the address for libpq, with the password.
        place: host, port and database for messages, without it.
        secrets: what must not show.
    """

    libpq: str
    place: str
    secrets: tuple[str, ...]

    def without_secrets(self, text: str) -> str:
        """The text, should a server or a library have put the password into it."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def is_postgres(url: str) -> bool:
    """Whether the address names a PostgreSQL database."""
    return url.split("://")[0].lower() in SCHEMES


def parse_address(url: str) -> PostgresAddress:
    """Read `postgresql://...`, as libpq or SQLAlchemy write it.

    On another machine than this one the connection must be encrypted: `sslmode=require` is added
    where the address names no mode. Hosts may stand in the query too (`?host=/socket/directory`).

    Raises:
        UsageError: it is no such address, or asks for an unencrypted connection to another machine.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(FORM) from error
    login, _, hosts = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query))
    matches = [HOST.match(one) for one in hosts.split(",")]
    found = [one for one in matches if one]
    if not is_postgres(url) or len(found) < len(matches):
        raise UsageError(FORM)
    named = [one["host"].strip("[]") for one in found if one["host"]]
    for name in ("host", "hostaddr"):
        named += [one for one in query.get(name, "").split(",") if one]
    remote = [host for host in map(unquote, named) if not _is_here(host)]
    query.setdefault("connect_timeout", str(CONNECT_SECONDS))
    query.setdefault("application_name", "cryptobot")
    if remote and query.setdefault("sslmode", "require") not in ENCRYPTED:
        raise UsageError(f"CRYPTOBOT_STORE_URL: {remote[0]} is another machine: use sslmode=require or verify-full")
    netloc = f"{login}@{hosts}" if login else hosts
    libpq = f"postgresql://{netloc}{parts.path}?{urlencode(query, quote_via=quote, safe='/')}"
    password = unquote(login.partition(":")[2])
    secrets = {password, quote(password), login.partition(":")[2], query.get("password", "")} - {""}
    return PostgresAddress(libpq, _place(parts, hosts or query.get("host", "")), tuple(secrets))


def shown(url: str) -> str:
    """An address of a store for messages, without the password."""
    return f"postgresql://{parse_address(url).place}" if is_postgres(url) else url


def _place(parts: SplitResult, hosts: str) -> str:
    return f"{hosts or 'localhost'}{parts.path if parts.path != '/' else ''}"


def _is_here(host: str) -> bool:
    if host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False

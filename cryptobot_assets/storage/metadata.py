"""Where Dagster and MLflow keep their bookkeeping: two databases on one PostgreSQL server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import errors, sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.postgres_address import STARTING
from cryptobot_assets.storage.room import MAKE_ROOM, is_full

DAGSTER_DATABASE = "cryptobot_dagster"
MLFLOW_DATABASE = "cryptobot_mlflow"
CONNECT_SECONDS = 10
_servers: dict[Path, EmbeddedPostgres] = {}


@dataclass(frozen=True)
class MetadataUrls:
    """SQLAlchemy addresses (`postgresql+psycopg2://`) of the two databases, both existing."""

    dagster: str
    mlflow: str


def metadata_urls(settings: Settings) -> MetadataUrls:
    """The databases on the server `settings.metadata_url` names, or on the home's embedded one.

    The embedded server is then held by this process until it ends or calls `release_metadata`.

    Raises:
        UsageError: the setting is no PostgreSQL address.
        StoreError: the server does not answer, or refuses; the message never shows the password.
        ProcessError: the embedded server does not start.
    """
    if settings.metadata_url:
        server = _parse(settings.metadata_url)
    else:
        directory = settings.home / "postgres"
        holder = _servers.setdefault(directory, EmbeddedPostgres(directory))
        server = make_url(holder.acquire().url("postgres"))
    _ensure_databases(server, (DAGSTER_DATABASE, MLFLOW_DATABASE))
    return MetadataUrls(*(_render(server, name) for name in (DAGSTER_DATABASE, MLFLOW_DATABASE)))


def release_metadata(settings: Settings) -> None:
    """Give up the embedded server; the last holder returns when it has stopped."""
    holder = _servers.pop(settings.home / "postgres", None)
    if holder is not None:
        holder.release()


@contextmanager
def metadata_faults_told(settings: Settings) -> Iterator[None]:
    """Tell in one line that the metadata server could not write or went away while others were using it.

    Raises:
        StoreError: what it said; what was stored before stays.
    """
    try:
        yield
    except DBAPIError as error:
        place = _place(_parse(settings.metadata_url)) if settings.metadata_url else str(settings.home / "postgres")
        said = str(error.orig).strip().splitlines()[0]
        advice = MAKE_ROOM if is_full(error) else "what was stored stays: run it again"
        raise StoreError(f"the metadata server at {place} fails: {said}; {advice}") from error


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres"):
        raise UsageError("setting CRYPTOBOT_METADATA_URL: write postgresql://user:password@host:5432/database")
    return url.set(drivername="postgresql+psycopg2")


def _render(server: URL, database: str) -> str:
    """A socket's slashes stay as they are: alembic and configuration files read `%` as their own."""
    address, mark, query = server.set(database=database).render_as_string(hide_password=False).partition("?")
    url: str = address + mark + query.replace("%2F", "/")
    return url


def _ensure_databases(server: URL, names: tuple[str, ...]) -> None:
    connection = _connect(server)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            existing = {row[0] for row in cursor.fetchall()}
            for name in names:
                if name not in existing:
                    _create(cursor, name)
    except errors.InsufficientPrivilege as error:
        raise StoreError(
            f"the user of CRYPTOBOT_METADATA_URL may not create databases on {_place(server)}: "
            f"create {' and '.join(names)}, or grant CREATEDB"
        ) from error
    except psycopg2.Error as error:
        raise StoreError(f"the metadata server at {_place(server)} refused: {_reason(error, server)}") from error
    finally:
        connection.close()


def _create(cursor: psycopg2.extensions.cursor, name: str) -> None:
    """Create a database, letting another process win the race."""
    try:
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        return


def _connect(server: URL) -> psycopg2.extensions.connection:
    """Connect to the database named, or to `postgres` when none is; wait out a server that is starting."""
    plain = server.set(drivername="postgresql", database=server.database or "postgres")
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return psycopg2.connect(plain.render_as_string(hide_password=False), connect_timeout=CONNECT_SECONDS)
        except psycopg2.Error as error:
            starting = any(word in str(error) for word in STARTING)
            if not starting or time.monotonic() > deadline:
                raise StoreError(
                    f"the metadata server at {_place(server)} does not answer: {_reason(error, server)}; "
                    "start it, or correct CRYPTOBOT_METADATA_URL"
                ) from None
        time.sleep(0.1)


def _place(server: URL) -> str:
    return str(server.query.get("host") or f"{server.host or 'localhost'}:{server.port or 5432}")


def _reason(error: psycopg2.Error, server: URL) -> str:
    """The first line of what PostgreSQL said, without the password should it stand there."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    secrets = (str(server.password or ""), str(server.query.get("password") or ""))
    line = lines[0]
    for secret in filter(None, secrets):
        line = line.replace(secret, "***")
    return line

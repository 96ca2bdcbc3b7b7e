"""Databases on a real server, and questions put to it past the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from unittest.mock import patch

import psycopg2
from psycopg2 import sql
from sqlalchemy import make_url

from cryptobot_assets.processes import free_port
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.postgres_guard import SERVER_OPTIONS, Guard
from cryptobot_assets.storage.postgres_layout import Layout

NUMBERS = count(1)


def run(url: str, *statements: str) -> list[tuple]:
    """Run statements, each committed; the rows of the last."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def url_of(server: EmbeddedPostgres, database: str, user: str | None = None) -> str:
    """Address of a database as `CRYPTOBOT_STORE_URL` has it."""
    url = server.url(database).replace("+psycopg2", "")
    return url.replace(f"//{server.layout.role}@", f"//{user}@") if user else url


def make_database(server: EmbeddedPostgres, *, like: str | None = None) -> str:
    """Address of a new database: empty, or a copy of the one at an address that nobody is connected to."""
    name = f"store_{next(NUMBERS)}"
    template = f" TEMPLATE {make_url(like).database}" if like else ""
    run(url_of(server, "postgres"), f"CREATE DATABASE {name}{template}")
    return url_of(server, name)


@contextmanager
def tcp_server(directory: Path, *, user: str, password: str) -> Iterator[str]:
    """`host:port` of a server of its own that lets a user who may create databases in, by a password alone."""
    directory.mkdir(mode=0o700)
    layout, port = Layout(directory), free_port()
    guard = Guard(layout)
    with patch.dict(SERVER_OPTIONS, {"listen_addresses": "127.0.0.1", "port": str(port)}):
        guard.start()
    try:
        rules = layout.data / "pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        made = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(sql.Identifier(user), sql.Literal(password))
        owned = sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(user))
        within = f"postgresql://{layout.role}@/postgres?host={layout.sockets}&port={port}"
        run(within, made, owned, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)")
        yield f"127.0.0.1:{port}"
    finally:
        guard.stop()

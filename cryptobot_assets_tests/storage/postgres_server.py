"""Databases on a real server, and questions put to it past the store."""

from __future__ import annotations

from itertools import count

import psycopg2

from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres

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


def make_database(server: EmbeddedPostgres) -> str:
    """Address of a new, empty database."""
    name = f"store_{next(NUMBERS)}"
    run(url_of(server, "postgres"), f"CREATE DATABASE {name}")
    return url_of(server, name)

"""PostgreSQL: the store contract, and what is particular to it, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg2
import pytest

from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.postgres import PostgresStore
from cryptobot_assets_tests.contracts.store_contract import StoreContract

pytestmark = pytest.mark.platform

NUMBERS = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "postgres") as server:
        yield server


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


def url_of(server: EmbeddedPostgres, database: str) -> str:
    return server.url(database).replace("+psycopg2", "")


@pytest.fixture
def address(server: EmbeddedPostgres) -> str:
    name = f"store_{next(NUMBERS)}"
    run(url_of(server, "postgres"), f"CREATE DATABASE {name}")
    return url_of(server, name)


class TestPostgres(StoreContract):
    opener = PostgresStore

"""A PostgreSQL that is reached over TCP and asks for a password, as the one of a deployment does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text

from cryptobot_assets.errors import StoreError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.metadata import MLFLOW_DATABASE, metadata_urls
from cryptobot_assets.storage.postgres import PostgresStore
from cryptobot_assets.storage.store import KLINES
from cryptobot_assets_tests.storage.postgres_server import tcp_server

pytestmark = pytest.mark.platform

PASSWORD = "r@ght/%41 :?"
"""What an address has to quote, all of it."""
REFUSED = {"wr@ng": "password authentication failed", "": "no password supplied"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tcp_server(tmp_path_factory.mktemp("tcp") / "postgres", user="careful", password=PASSWORD) as place:
        yield place


def address(place: str, password: str) -> str:
    return f"postgresql://careful:{quote(password, safe='')}@{place}/postgres"


def read_metadata(url: str) -> None:
    metadata_urls(Settings.load(metadata_url=url))


def read_store(url: str) -> None:
    PostgresStore(url).read(KLINES)


@pytest.mark.parametrize("password", REFUSED)
@pytest.mark.parametrize("read", [read_metadata, read_store])
def test_a_wrong_password_is_one_line_without_it(place: str, read: Callable[[str], None], password: str) -> None:
    with pytest.raises(StoreError, match=REFUSED[password]) as caught:
        read(address(place, password))
    told = str(caught.value)
    assert place in told and "correct CRYPTOBOT_" in told and "\n" not in told
    assert "wr@ng" not in told and "wr%40ng" not in told


def test_the_right_one_opens_store_and_bookkeeping(place: str) -> None:
    read_store(address(place, PASSWORD))
    urls = metadata_urls(Settings.load(metadata_url=address(place, PASSWORD)))
    engine = create_engine(urls.mlflow)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT current_database(), inet_server_addr()::text")).one()
    engine.dispose()
    assert found == (MLFLOW_DATABASE, "127.0.0.1/32")

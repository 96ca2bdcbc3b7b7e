"""The tables of a PostgreSQL store: made and brought up to date by alembic. The one home of alembic.

The first writer with the right to do so makes them. `alembic upgrade head` in the project's
directory does the same on the store that CRYPTOBOT_STORE_URL names; done again, it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from psycopg2 import errors
from sqlalchemy.exc import DBAPIError

from cryptobot_assets.errors import StoreError
from cryptobot_assets.storage.postgres_address import PostgresAddress

SCRIPTS = Path(__file__).with_name("migrations")
VERSION_TABLE = "cryptobot_alembic_version"


def upgrade(address: PostgresAddress) -> None:
    """Bring the tables to the newest revision; several processes may try at once.

    Raises:
        StoreError: the user may not, or the tables are newer than this code.
    """
    with migrating(address) as connection:
        migrate(connection, "head", of=f"at {address.place}")


def migrate(connection: sa.Connection, revision: str, *, of: str) -> None:
    """Bring tables to a revision within the connection's transaction; `of` says in words which tables.

    Raises:
        StoreError: this program does not know the revision, or the one they have.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise StoreError(f"the tables {of} are of a newer version: update this program") from error


@contextmanager
def migrating(address: PostgresAddress) -> Iterator[sa.Connection]:
    """One transaction in which nobody else migrates.

    Raises:
        StoreError: the server does not answer, or refuses.
    """
    engine = sa.create_engine(
        "postgresql+psycopg2://", creator=lambda: psycopg2.connect(address.libpq), poolclass=sa.NullPool
    )
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('cryptobot migration', 0))"))
            yield connection
    except DBAPIError as error:
        if isinstance(error.orig, errors.InsufficientPrivilege):
            raise StoreError(
                f"the user of {address.place} may not make or change its tables: "
                "let their owner write once (or run `alembic upgrade head`)"
            ) from error
        said = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
        raise StoreError(f"cannot make the tables at {address.place}: {address.without_secrets(said)}") from error

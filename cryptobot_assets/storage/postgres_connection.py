"""Connections to a PostgreSQL store, over ADBC: rows travel as Arrow in both directions.

A transaction that a lost connection or a deadlock cut short is run again: everything a store does
leaves the same rows however often it is done. A writer waits for a server that restarts; a reader
tries once more and then says so.

Never fork a process after using it (spawn instead): both would speak on one connection.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from adbc_driver_manager import Error
from adbc_driver_postgresql import dbapi

from cryptobot_assets.errors import StoreError
from cryptobot_assets.storage.postgres_address import STARTING, PostgresAddress
from cryptobot_assets.storage.room import MAKE_ROOM, is_full

Cursor: TypeAlias = dbapi.Cursor
T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a writer waits for a server that answered before."""

RECOVERY_SECONDS = 180.0
"""How long it waits when that server says it is starting: recovering what a crash left takes minutes on a busy disk."""

STARTING_SECONDS = 20.0
"""How long anyone waits for a server that says it is starting."""

SERVER_GONE = ("08", "57P")
"""SQLSTATE classes: connection failures, and a server that stops or starts."""

LOGIN_REFUSED = re.compile(r"Failed to connect:.*FATAL:", re.DOTALL)
PASSING = (*STARTING, "shutting down", "terminating connection", "recovery mode")
"""Refusals of a login that end by themselves; a failed login carries no SQLSTATE."""

CONFLICTS = {"40001", "40P01"}
UNDEFINED_TABLE = "42P01"
UNDEFINED_COLUMN = "42703"
NO_RIGHTS = "42501"
SESSION = (
    "SELECT set_config('TimeZone', 'UTC', false), set_config('standard_conforming_strings', 'on', false),"
    " set_config('tcp_keepalives_idle', '60', false), set_config('idle_in_transaction_session_timeout', '10min', false)"
)
"""A writer whose machine vanished must not hold its locks for long."""

SAID = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(.+)")


class PostgresConnections:
    """Connections to one database, opened when needed and kept; safe to use from several threads."""

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._idle: deque[dbapi.Connection] = deque()
        self._answered = False

    def run(self, work: Callable[[Cursor], T], *, patient: bool = False) -> T:
        """Do `work` in one transaction, again when it could not end for no fault of its own.

        Raises:
            adbc_driver_manager.Error: PostgreSQL refused something in it; see `sqlstate`.
            StoreError: the server does not answer.
        """
        patient &= self._answered
        began, pause, tries = time.monotonic(), 0.05, 0
        while True:
            tries += 1
            try:
                with self._transaction() as cursor:
                    return work(cursor)
            except Error as error:
                if is_gone(error):
                    self.close()
                elif error.sqlstate not in CONFLICTS:
                    raise
                waits = (RECOVERY_SECONDS if is_starting(error) else PATIENCE_SECONDS) if patient else 0.0
                if tries > 1 and time.monotonic() - began > waits:
                    raise self.failure(error) from error
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def open(self) -> dbapi.Connection:
        """A new connection, for the caller to close."""
        deadline = time.monotonic() + STARTING_SECONDS
        while True:
            try:
                connection = dbapi.connect(self.address.libpq)
                break
            except Error as error:
                if not is_starting(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)
        with connection.cursor() as cursor:
            cursor.execute(SESSION)
            cursor.fetchall()
        connection.commit()
        self._answered = True
        return connection

    def close(self) -> None:
        """Close the connections nobody uses."""
        while self._idle:
            _close(self._idle.pop())

    def failure(self, error: Error) -> StoreError:
        """What to tell of an error that is nobody's rows' fault."""
        if is_full(error):
            return StoreError(f"no room in the store at {self.address.place}: {self.reason(error)}; {MAKE_ROOM}")
        advice = "; start it, or correct CRYPTOBOT_STORE_URL" if is_gone(error) or not error.sqlstate else ""
        what = "does not answer" if advice else "refuses" if error.sqlstate == NO_RIGHTS else "fails"
        return StoreError(f"the store at {self.address.place} {what}: {self.reason(error)}{advice}")

    def reason(self, error: Error) -> str:
        """What PostgreSQL said, in one line and without the password."""
        text = str(error)
        said = SAID.search(text)
        line = said[1] if said else text.split("SQLSTATE")[0].strip().splitlines()[0].rpartition("] ")[2]
        return self.address.without_secrets(line.strip())

    @contextmanager
    def _transaction(self) -> Iterator[Cursor]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.open()
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except BaseException:
            _close(connection)
            raise
        self._idle.append(connection)


def is_starting(error: Error) -> bool:
    """Whether the server is there and will answer soon."""
    return any(word in str(error) for word in STARTING)


def is_gone(error: Error) -> bool:
    """Whether the server, or the way to it, failed rather than the statement or the login."""
    if error.sqlstate:
        return error.sqlstate.startswith(SERVER_GONE)
    if not isinstance(error, dbapi.OperationalError):
        return False
    return not LOGIN_REFUSED.search(str(error)) or any(word in str(error) for word in PASSING)


def text_literal(value: str) -> str:
    """A text value in SQL."""
    return "'" + value.replace("'", "''") + "'"


def _close(connection: dbapi.Connection) -> None:
    """Close it, in whatever state: what was not committed is rolled back by the server."""
    try:
        connection.close()
    except Error:
        return

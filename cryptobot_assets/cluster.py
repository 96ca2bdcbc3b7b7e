"""Heavy work spread over worker processes, here or on other machines: the one home of Dask.

    run --pieces, a few ahead--> scheduler --> workers: read the store, compute, write the store
     ^------------ results, in the order of the pieces ------------/

What a worker had not finished when it died is done again by another, so a piece must leave the same
rows however often it is done. Workers open the store by their own settings; one that runs other code,
or holds another store, refuses the work. Whoever reaches a scheduler may run anything on its workers:
beyond this machine only `tls://` with certificates of both sides is taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from cryptobot_assets.errors import ProcessError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import Store, open_store

if TYPE_CHECKING:
    from distributed import Client, Future
    from distributed.security import Security

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Lent = Any
"""Stands for lent data within a piece, where the work finds the data itself."""

AHEAD = 2
"""Pieces a worker has before it: one it does and one that waits for it."""
CONNECT_SECONDS = 20.0
LOOK_SECONDS = 5.0
WORKERLESS_SECONDS = 120.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class LentDataLost(ProcessError):
    """What was lent to the workers went with the last of them that held it."""


class Cluster:
    """A connection to a scheduler."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._deployment = deployment_digest(settings)

    def spread(self, work: Callable[[Store, Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """`work(store, piece)` of every piece, done by workers; results come in the order of the pieces.

        Raises:
            ProcessError: a piece took several workers with it, or there has been no worker for two minutes.
            LentDataLost: the workers that held lent data are gone.
            Exception: whatever `work` raised.
        """
        errand = partial(_do, work, self._deployment)
        waiting: deque[Future[Any]] = deque()
        try:
            for piece in pieces:
                waiting.append(self._client.submit(errand, piece, pure=False))
                while len(waiting) > AHEAD * max(self.workers(), 1):
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            self._client.cancel(list(waiting))

    def lend(self, data: Any) -> Lent:
        """Data that many pieces need, sent to every worker that there is now; name it in place of the data."""
        return self._client.scatter([data], broadcast=True, hash=False)[0]

    def workers(self) -> int:
        """How many there are now."""
        return len(self._client.nthreads())

    def _result(self, future: Future[Any]) -> Any:
        from distributed.scheduler import KilledWorker

        alone_since: float | None = None
        while True:
            try:
                return future.result(timeout=LOOK_SECONDS)
            except KilledWorker as error:
                message = "a piece of work was begun by several workers and each of them died: see their logs"
                raise ProcessError(message) from error
            except CancelledError as error:
                raise LentDataLost("every worker that held what a piece of work needs is gone: lend it anew") from error
            except TimeoutError:
                alone_since = None if self.workers() else alone_since or time.monotonic()
                if alone_since and time.monotonic() - alone_since > WORKERLESS_SECONDS:
                    raise ProcessError(
                        f"the cluster has had no worker for {WORKERLESS_SECONDS:.0f} s: "
                        "start some with `cryptobot cluster worker`, or unset CRYPTOBOT_CLUSTER_URL"
                    ) from None


@contextmanager
def open_cluster(settings: Settings) -> Iterator[Cluster]:
    """The cluster that the settings name; raises `ProcessError` when no scheduler answers."""
    from distributed import Client

    url = _require_url(settings)
    security = _security(settings, url)
    try:
        client = Client(url, timeout=CONNECT_SECONDS, set_as_default=False, security=security, name="run")
    except (OSError, TimeoutError) as error:
        raise ProcessError(
            f"no scheduler answers at {url}: start one with `cryptobot cluster scheduler`, "
            "or unset CRYPTOBOT_CLUSTER_URL"
        ) from error
    with client:
        yield Cluster(client, settings)


def run_scheduler(settings: Settings, host: str, port: int, told: Callable[[str], None]) -> None:
    """Schedule until SIGINT or SIGTERM."""
    scheme = "tls" if settings.cluster_cert_file else "tcp"
    security = _security(settings, f"{scheme}://{host}:{port}")

    def scheduler() -> Any:
        from distributed import Scheduler

        return Scheduler(host=host, port=port, protocol=scheme, dashboard=False, security=security)

    asyncio.run(_until_stopped(scheduler, lambda: told(f"cluster: scheduler on {scheme}://{host}:{port}")))


def run_worker(settings: Settings, host: str | None, told: Callable[[str], None]) -> None:
    """Work for the scheduler that the settings name until SIGINT or SIGTERM, then finish what is begun."""
    url = _require_url(settings)
    security = _security(settings, url)

    def worker() -> Any:
        from distributed import Worker

        return Worker(
            url,
            nthreads=1,
            host=host,
            security=security,
            dashboard=False,
            local_directory=str(settings.home / "tmp"),
            death_timeout=CONNECT_SECONDS,
        )

    try:
        asyncio.run(_until_stopped(worker, lambda: told(f"cluster: worker of {settings.cluster_url}")))
    except (OSError, TimeoutError) as error:
        raise ProcessError(f"no scheduler answers at {settings.cluster_url}") from error


def _require_url(settings: Settings) -> str:
    if settings.cluster_url is None:
        raise UsageError("CRYPTOBOT_CLUSTER_URL is not set: it names the scheduler to work for, tls://HOST:8786")
    return settings.cluster_url


async def _until_stopped(make: Callable[[], AbstractAsyncContextManager[Any]], ready: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with make() as server:
        ready()
        ends = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(server.finished())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


def _security(settings: Settings, url: str) -> Security | None:
    """Certificates of this process; None for `tcp://` on this machine. Raises `UsageError` for less elsewhere."""
    parts = urlsplit(url)
    pems = (settings.cluster_ca_file, settings.cluster_cert_file, settings.cluster_key_file)
    if parts.scheme == "tcp":
        if parts.hostname not in LOOPBACK:
            raise UsageError(
                f"{url} would let whoever reaches it run anything: beyond this machine give tls://, "
                "CRYPTOBOT_CLUSTER_CA_FILE, CRYPTOBOT_CLUSTER_CERT_FILE and CRYPTOBOT_CLUSTER_KEY_FILE"
            )
        return None
    absent = [str(path) for path in pems if path is not None and not path.is_file()]
    if None in pems or absent:
        what = f"cannot be read: {', '.join(absent)}" if absent else "are not all set"
        raise UsageError(
            f"{url} needs CRYPTOBOT_CLUSTER_CA_FILE, CRYPTOBOT_CLUSTER_CERT_FILE and CRYPTOBOT_CLUSTER_KEY_FILE; "
            f"they {what}"
        )
    from distributed.security import Security

    ca, cert, key = map(str, pems)
    sides = {f"tls_{side}_{what}": path for side in ("client", "scheduler", "worker")
             for what, path in (("cert", cert), ("key", key))}  # fmt: skip
    return Security(tls_ca_file=ca, require_encryption=True, **sides)


def _do(work: Callable[[Store, Piece], Result], deployment: str, piece: Piece) -> Result:
    own, store = _own()
    if own != deployment:
        raise UsageError(
            f"the worker on {socket.gethostname()} has other code, another store or another interval than the run: "
            "install the same version there, and give it the same CRYPTOBOT_STORE_URL and CRYPTOBOT_INTERVAL"
        )
    return work(store, piece)


@lru_cache(maxsize=1)
def _own() -> tuple[str, Store]:
    settings = Settings.load()
    return deployment_digest(settings), open_store(settings)


def deployment_digest(settings: Settings) -> str:
    """What a run and its workers must have in common: code, store and interval; tells no secret."""
    return hashlib.sha256(f"{_code()}\n{settings.lake_url}\n{settings.interval}".encode()).hexdigest()


@lru_cache(maxsize=1)
def _code() -> str:
    digest, root = hashlib.sha256(), Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()

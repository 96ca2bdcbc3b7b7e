"""The machines of a deployment that read from one exchange, as they tell each other through the store they share.

The rule: every machine that said within the last two minutes that it reads takes an equal share of the limit, and
what one of them is asked to wait, all wait, as if all had one address. Behind one NAT they have; machines with
addresses of their own leave a part of the limit unused. A machine says so every 30 seconds while it reads, so
another one is counted up to 30 seconds late; until then the exchange's own count of the address holds both back.

Times in the table are by the exchange's clock, the one clock that all of them see. The store is asked beside the
reading, never in its way: when it is slow or away, a machine counts alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl

from cryptobot_assets.errors import CryptobotError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.postgres_address import is_postgres
from cryptobot_assets.storage.s3 import is_s3
from cryptobot_assets.storage.store import EXCHANGE_CLIENTS, Store, open_store
from cryptobot_assets.storage.weight_account import (
    LONGEST_BLOCK_SECONDS,
    NEIGHBOUR_SECONDS,
    RENEWAL_SECONDS,
    Account,
)
from cryptobot_assets.storage.weight_file import AccountFile

FIRST_WORD_SECONDS = 3.0
"""How long a machine that begins to read waits to hear of others."""

FORGET = timedelta(seconds=LONGEST_BLOCK_SECONDS, days=1)
"""Rows of machines not heard of for so long are removed; no ban lasts longer."""

_LOG = logging.getLogger(__name__)


class Machines:
    """This machine among the others; one per process.

    Args:
        open_store: the store they share, a new object for this alone.
        patience_seconds: how long the first word of others is waited for.
    """

    def __init__(self, open_store: Callable[[], Store], *, patience_seconds: float = FIRST_WORD_SECONDS) -> None:
        self._open_store = open_store
        self._patience = patience_seconds
        self._store: Store | None = None
        self._talk: threading.Thread | None = None
        self._next = float("-inf")
        self._fails = False

    def tend(self, file: AccountFile) -> None:
        """Say that this machine reads and hear of the others, when it is time and no process here just did."""
        if file.seconds() < self._next or (self._talk is not None and self._talk.is_alive()):
            return
        with file.held() as (account, now):
            due = now >= account.renewed_at + RENEWAL_SECONDS
            alone = now >= account.machines_until
            if due:
                account.renewed_at = now
            self._next = account.renewed_at + RENEWAL_SECONDS
        if due:
            self._talk = threading.Thread(target=self._exchange_words, args=(file,), name="machines that read")
            self._talk.start()
            if alone:
                self._talk.join(self._patience)

    def hurry(self) -> None:
        """There is something to tell: do not wait until it is time."""
        self._next = float("-inf")

    def _exchange_words(self, file: AccountFile) -> None:
        try:
            self._store = self._store or self._open_store()
            with file.held() as (account, now):
                row = _row(file.exchange, account, now)
            self._store.replace(
                EXCHANGE_CLIENTS, row, start=None, end=None, exchange=file.exchange, client=account.client
            )
            rows = self._store.read(EXCHANGE_CLIENTS, exchange=file.exchange)
            with file.held() as (account, now):
                here = _exchange_clock(account, now)
                _heed(account, rows.filter(pl.col("client") != account.client), here, now)
            if rows.select((pl.col("time") < here - FORGET).any()).item():
                self._store.replace(
                    EXCHANGE_CLIENTS, rows.clear(), start=None, end=here - FORGET, exchange=file.exchange
                )
            self._fails = False
        except CryptobotError as error:
            if not self._fails:
                _LOG.warning("request weight is counted for this machine alone: %s", error)
            self._fails = True


def machines_of(settings: Settings) -> Machines | None:
    """This machine among those of the deployment; None where the store is a directory, which one machine has alone."""
    if is_s3(settings.lake_url) or is_postgres(settings.lake_url):
        return Machines(lambda: open_store(settings))
    return None


def _exchange_clock(account: Account, now: float) -> datetime:
    """The exchange's clock; this machine's own until the exchange has answered once."""
    return datetime.fromtimestamp(time.time() if account.ahead is None else now + account.ahead, UTC)


def _row(exchange: str, account: Account, now: float) -> pl.DataFrame:
    here = _exchange_clock(account, now)
    left = account.blocked_until - now
    row = {
        "exchange": exchange,
        "client": account.client,
        "time": here,
        "blocked_until": here + timedelta(seconds=left) if left > 0 else None,
    }
    return pl.DataFrame([row], schema=EXCHANGE_CLIENTS.schema)


def _heed(account: Account, others: pl.DataFrame, here: datetime, now: float) -> None:
    """Count the others that read, and wait with those that were asked to."""
    apart = (pl.col("time") - here).abs()
    reading = others.filter(apart < timedelta(seconds=NEIGHBOUR_SECONDS)).height
    account.share(1 + reading, now)
    until = others["blocked_until"].max()
    if isinstance(until, datetime):
        account.heed((until - here).total_seconds(), now)

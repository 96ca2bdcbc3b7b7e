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

from cryptobot_assets.domain.instants import earliest, latest
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
        self._alone = True
        self._fails = False

    def tend(self, file: AccountFile) -> None:
        """Say that this machine reads and hear of the others, when it is time and no process here just did."""
        if file.seconds() < self._next or (self._talk is not None and self._talk.is_alive()):
            return
        if self._claim(file):
            self._talk = threading.Thread(target=self._talk_while_due, args=(file,), name="machines that read")
            self._talk.start()
            if self._alone:
                self._talk.join(self._patience)

    def hurry(self) -> None:
        """There is something to tell: do not wait until it is time."""
        self._next = float("-inf")

    def _claim(self, file: AccountFile) -> bool:
        """Whether it is this process's turn to talk for the machine."""
        with file.held() as (account, now):
            self._alone = now >= account.machines_until
            due = now >= account.renewed_at + RENEWAL_SECONDS
            if due:
                account.renewed_at = now
            self._next = account.renewed_at + RENEWAL_SECONDS
        return due

    def _talk_while_due(self, file: AccountFile) -> None:
        """There may be something new to tell by the time it is told."""
        self._exchange_words(file)
        while self._claim(file):
            self._exchange_words(file)

    def _exchange_words(self, file: AccountFile) -> None:
        """Tell of this machine, then hear of the others: of two that begin at once, one hears of the other."""
        try:
            self._store = self._store or self._open_store()
            with file.held() as (account, now):
                row = _row(file.exchange, account, now)
            if row.height:
                self._store.replace(
                    EXCHANGE_CLIENTS, row, start=None, end=None, exchange=file.exchange, client=account.client
                )
            rows = self._store.read(EXCHANGE_CLIENTS, exchange=file.exchange)
            with file.held() as (account, now):
                _heed(account, rows, now)
            gone = latest(row["time"]) - FORGET if row.height else None
            if gone is not None and earliest(rows["time"]) < gone:
                self._store.replace(EXCHANGE_CLIENTS, rows.clear(), start=None, end=gone, exchange=file.exchange)
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


def _row(exchange: str, account: Account, now: float) -> pl.DataFrame:
    """What this machine says of itself: nothing before the exchange has answered it and shown its clock."""
    if account.ahead is None:
        return pl.DataFrame(schema=EXCHANGE_CLIENTS.schema)
    row = {
        "exchange": exchange,
        "client": account.client,
        "time": _instant(now + account.ahead),
        "blocked_until": _instant(account.blocked_until + account.ahead) if account.blocked_until > now else None,
    }
    return pl.DataFrame([row], schema=EXCHANGE_CLIENTS.schema)


def _heed(account: Account, rows: pl.DataFrame, now: float) -> None:
    """Count the others that read, and wait with those that were asked to.

    Before the exchange has answered, its clock is taken to be this machine's, or the newest word of others.
    """
    others = rows.filter(pl.col("client") != account.client)
    guess = max([_instant(time.time()), *others["time"]])
    here = guess if account.ahead is None else _instant(now + account.ahead)
    reading = others.filter((pl.col("time") - here).abs() < timedelta(seconds=NEIGHBOUR_SECONDS))
    account.share(1 + reading.height, now)
    until = others["blocked_until"].max()
    if isinstance(until, datetime):
        account.heed((until - here).total_seconds(), now)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

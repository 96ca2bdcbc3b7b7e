"""Every error the platform raises on purpose, grouped by what to do next.

CryptobotError
├── UsageError               fix the command, setting or argument
│   ├── UnknownCurrency      pick one of the close matches
│   └── HomeConflict         use another home, or the same market as before
├── BadKlines                fix or drop the offending klines; nothing was stored
├── BadArchive               nothing: the same klines are read elsewhere, and that is recorded
├── LeakFound                 a row or a choice knew something too early: nothing was trained on it
├── NotEnoughHistory         ingest more days, or ask for fewer folds
├── ExchangeError            the exchange refused: read its code
│   ├── ExchangeUnreachable  start it, or correct its address
│   └── RateLimited          wait `retry_after` seconds
├── StoreError               the lake or database: check its address and rights
│   ├── Overtaken            make the rows again of what is stored now
│   └── BadBackup            use another backup; nothing was touched
├── RegistryError            the model registry: check its address; a model may be missing
│   └── NoModel              train one first
├── BadPlugin                mend or uninstall the package it names; nothing of it was used
├── AlertNotSent             nothing: it is tried again; check the address when it goes on
└── ProcessError             a service did not start or stay up: read the log it names
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CryptobotError(Exception):
    """Base of every deliberate error: its message is one line that says what to do."""


class UsageError(CryptobotError):
    """A command, argument or setting is wrong; the command line exits with 2."""


class UnknownCurrency(UsageError):
    """A currency nobody here knows, with the closest names that are known."""

    def __init__(self, currency: str, known: Iterable[str]) -> None:
        self.currency = currency
        self.close_matches = difflib.get_close_matches(currency.upper(), list(known), n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(self.close_matches)}?" if self.close_matches else ""
        super().__init__(f"unknown currency {currency!r}{hint}")


class HomeConflict(UsageError):
    """The home already holds another market's klines, or another command is using it."""


class BadKlines(CryptobotError):
    """Klines that break the kline contract; nothing of the batch was stored."""


class BadArchive(CryptobotError):
    """An archive file that is not published, not to be had, or not to be believed."""


class LeakFound(CryptobotError):
    """Something was known too early: a model of it would not be worth its figures."""


class NotEnoughHistory(CryptobotError):
    """The rows known before a cutoff do not fill the folds asked for."""


class ExchangeError(CryptobotError):
    """The exchange answered with an error."""

    def __init__(self, message: str, *, status: int | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ExchangeUnreachable(ExchangeError):
    """Nothing answered at the exchange's address within the retries."""


class RateLimited(ExchangeError):
    """The exchange asked to wait (429) or banned the address (418)."""

    def __init__(self, message: str, *, status: int, retry_after_seconds: float) -> None:
        super().__init__(message, status=status)
        self.retry_after_seconds = retry_after_seconds


class StoreError(CryptobotError):
    """The lake or database could not be read or written."""


class Overtaken(StoreError):
    """Somebody else wrote the rows that a write was made of; nothing of it was stored."""


class BadBackup(StoreError):
    """A backup that is damaged, incomplete, or of a kind that cannot be restored here."""


class RegistryError(CryptobotError):
    """The model registry could not be reached, or what it returned cannot be used."""


class NoModel(RegistryError):
    """No trained model answers the request."""


class BadPlugin(CryptobotError):
    """Another installed package brings a part that cannot be used, or under a name that is taken."""


class AlertNotSent(CryptobotError):
    """A message did not reach the people it was for."""


class ProcessError(CryptobotError):
    """A process the platform needs did not start, or died; `said` is the last line it wrote."""

    def __init__(self, message: str, *, exit_code: int | None = None, said: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.said = said

"""Copying one store into another, whichever engines hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptobot_assets.domain.intervals import DAY
from cryptobot_assets.progress import Progress
from cryptobot_assets.storage.store import TABLES, Store, Table

BLOCK = 180 * DAY
"""One currency's rows that are read and written at a time: at 1m a quarter of a million."""


@dataclass(frozen=True)
class CopyBlock:
    """The rows of one table and currency with time in [start, end)."""

    table: Table
    currency: str
    start: datetime
    end: datetime


def copy_blocks(source: Store) -> list[CopyBlock]:
    """Everything a store holds, cut into blocks."""
    return [
        CopyBlock(table, currency, start, end)
        for table in TABLES.values()
        for currency, (first, newest) in source.spans(table).items()
        for start, end in _cut(first, newest)
    ]


def copy_block(source: Store, target: Store, block: CopyBlock) -> int:
    """Make the rows of one block the same in both; returns how many there are."""
    rows = source.read(block.table, start=block.start, end=block.end, currency=block.currency)
    return target.replace(block.table, rows, start=block.start, end=block.end, currency=block.currency)


def copy_store(source: Store, target: Store, progress: Progress) -> dict[str, int]:
    """Make everything `source` holds the same in `target`; returns the rows of each table.

    A block is one transaction, so a copy cut short and run again leaves what an undisturbed one does.
    What the target holds beside it, of other currencies or times, stays.
    """
    copied = dict.fromkeys(TABLES, 0)
    for block in copy_blocks(source):
        rows = copy_block(source, target, block)
        copied[block.table.name] += rows
        progress.advance("copy", rows=rows, note=f"{block.table.name} {block.currency} {block.start:%Y-%m-%d}")
    return copied


def _cut(first: datetime, newest: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Half-open blocks from the first row to just after the newest."""
    start, past = first, newest + timedelta(microseconds=1)
    while start < past:
        end = min(start + BLOCK, past)
        yield start, end
        start = end

"""How much of each partition is accounted for: its klines are stored, or recorded as what the exchange never had.

What Dagster has on record says that a run ended well, not how far the partition went then, and the
newest stored kline says nothing of the days before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl

from cryptobot_assets.domain.gap_grid import Kind
from cryptobot_assets.domain.gaps import count_missing
from cryptobot_assets.partitions import Partitions
from cryptobot_assets.storage.gap_records import read_gaps
from cryptobot_assets.storage.store import KLINES, Store, Table


def known_instants(
    store: Store, partitions: Partitions, currencies: Sequence[str], keys: Sequence[str]
) -> Counter[str]:
    """By partition key, at how many instants it is known what the exchange has: klines, and gaps of its own.

    Args:
        keys: of the time dimension, in order.
    """
    if not keys:
        return Counter()
    start, end = partitions.span(keys[0])[0], partitions.span(keys[-1])[1]
    gaps = read_gaps(store, start, end, partitions.settings.interval, currency=list(currencies))
    believed = gaps.filter(pl.col("kind").ne_missing(Kind.MISSING.text))
    absent = count_missing(believed, partitions.settings.interval, every=partitions.span_name)
    return stored_instants(store, KLINES, partitions, currencies, keys) + _by_key(absent)


def stored_instants(
    store: Store, table: Table, partitions: Partitions, currencies: Sequence[str], keys: Sequence[str]
) -> Counter[str]:
    """By partition key, how many rows of a table are stored; `keys` as above."""
    if not keys:
        return Counter()
    start, end = partitions.span(keys[0])[0], partitions.span(keys[-1])[1]
    every = partitions.span_name
    return _by_key(store.counts(table, every=every, start=start, end=end, currency=list(currencies)))


def _by_key(counts: pl.DataFrame) -> Counter[str]:
    named = counts.select(pl.format("{}|{}", "currency", pl.col("time").dt.strftime("%Y-%m-%d")), "rows")
    return Counter(dict(named.iter_rows()))

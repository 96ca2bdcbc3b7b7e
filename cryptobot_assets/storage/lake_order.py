"""Rows of a lake in the order of their key: whole runs are laid in order, which takes a tenth of sorting the rows.

Every write leaves sorted files, but a file does not say which comes first, and merging small files into one takes
their rows in turns, a few thousand at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptobot_assets.domain.klines import UTC_TIME
from cryptobot_assets.storage.rules import keys_rise

FEWEST_ROWS_A_RUN = 16
"""In the mean: shorter runs are sorted by the row."""

LONG_RUN = 4096
"""Rows of a chunk that is worth keeping as it lies; shorter ones are copied together."""


def in_order(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The rows sorted by the columns of `key`, as they are without any; no two rows may have the same key."""
    if not key:
        return rows
    keys = rows.select(key)
    begins = _begins(keys) if keys.schema[key[-1]] == UTC_TIME else []
    if not 0 < len(begins) * FEWEST_ROWS_A_RUN <= rows.height:
        return rows.sort(key)
    lengths = [end - begin for begin, end in zip(begins, [*begins[1:], rows.height], strict=True)]
    runs = keys[begins].with_columns(begin=pl.Series(begins), length=pl.Series(lengths)).sort(key)
    places = runs.select("begin", "length").rows()
    edges = keys[[place for begin, length in places for place in (begin, begin + length - 1)]]
    apart = edges.select(keys_rise(key)).to_series().gather_every(2)
    if not apart.all():
        return rows.sort(key)
    laid = pl.concat((rows.slice(*place) for place in places), rechunk=False)
    return laid if rows.height >= LONG_RUN * len(places) else laid.rechunk()


def _begins(keys: pl.DataFrame) -> list[int]:
    """Where a row is not the one after the row before it: on the grid of the times, all else alike."""
    *others, time = keys.columns
    steps = keys[time].to_physical().diff()
    follows = steps.eq(steps.filter(steps > 0).min() or 0)
    for name in others:
        follows &= keys[name] == keys[name].shift(1)
    return (~follows.fill_null(False)).arg_true().to_list()

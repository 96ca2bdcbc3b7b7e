"""The table of gaps, rewritten a span at a time, together with the rows that reach over its borders or touch them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from cryptobot_assets.domain.gaps import clip_gaps, splice_gaps
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.storage.overtaking import until_not_overtaken
from cryptobot_assets.storage.store import GAPS, Store


def read_gaps(
    store: Store, start: datetime, end: datetime, interval: str, *, currency: str | Sequence[str] | None = None
) -> pl.DataFrame:
    """What is recorded of [start, end): rows of `GAPS`, cut to it."""
    named: dict[str, Any] = {} if currency is None else {"currency": currency}
    return clip_gaps(store.read(GAPS, end=end, **named), start, end, interval)


def rewrite_gaps(
    store: Store,
    start: datetime,
    end: datetime,
    interval: str,
    remake: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    currency: str | Sequence[str] | None = None,
) -> None:
    """Put what `remake` makes of the recorded gaps of [start, end) in their place; one atomic write, or none.

    Of one currency, of several, or of all. When somebody else writes gaps meanwhile, it is made again of those.

    Raises:
        StoreError: others kept writing.
    """
    named: dict[str, Any] = {} if currency is None else {"currency": currency}
    until_not_overtaken(lambda: _rewrite(store, start, end, interval, remake, named))


def _rewrite(
    store: Store,
    start: datetime,
    end: datetime,
    interval: str,
    remake: Callable[[pl.DataFrame], pl.DataFrame],
    named: dict[str, Any],
) -> None:
    version = store.version(GAPS)
    after = end + interval_delta(interval)  # what begins at the end may go on from inside
    held = store.read(GAPS, end=after, **named)
    inside = clip_gaps(held, start, end, interval)
    spliced = splice_gaps(held, remake(inside), start, end, interval)
    begin = min([start, *held.filter(pl.col("end") >= start)["time"]])
    touched = pl.col("time").is_between(begin, after, closed="left")
    if not held.filter(touched).equals(spliced.filter(touched)):
        store.replace(GAPS, spliced.filter(touched), start=begin, end=after, since=version, **named)

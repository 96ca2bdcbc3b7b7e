"""Which partitions are still to be materialized, in as few runs as reasonable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from cryptobot_assets.deployment import Deployment
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.storage.store import TABLES, newest_times, open_store

PARTITIONS_A_RUN = 250
"""A run costs seconds of bookkeeping of its own, and one that is killed is done again whole."""

Block = tuple[list[str], str, str]
"""Neighbouring currencies that miss the same span keys: their names, first key, last key."""


def missing_ranges(
    deployment: Deployment, asset: str, currencies: Sequence[str], first: date, last: date
) -> list[tuple[str, str]]:
    """Ranges of partition keys over the days [first, last] that are not materialized, or not to their end.

    A partition recorded while its day still went on is not whole: those that end after the newest
    stored row are done again.

    A range from `A|d1` to `C|d2` stands for every day from d1 to d2 of every currency from A to C,
    in the order of the settings; ranges join neighbours that miss the same days.
    """
    keys = deployment.partitions.span_keys(first, last)
    done = deployment.materialized(asset) - _unfinished(deployment, asset, currencies, keys)
    order = {name: position for position, name in enumerate(deployment.settings.currencies)}
    blocks: list[Block] = []
    for currency in sorted(currencies, key=order.__getitem__):
        for start, end, count in _missing_runs(keys, {k for k in keys if f"{currency}|{k}" in done}):
            held = blocks[-1] if blocks else None
            if (
                held is not None
                and held[1:] == (start, end)
                and order[currency] == order[held[0][-1]] + 1
                and (len(held[0]) + 1) * count <= PARTITIONS_A_RUN
            ):
                held[0].append(currency)
            else:
                blocks.append(([currency], start, end))
    return [(f"{names[0]}|{start}", f"{names[-1]}|{end}") for names, start, end in blocks]


def _unfinished(deployment: Deployment, asset: str, currencies: Sequence[str], keys: Sequence[str]) -> set[str]:
    newest = newest_times(open_store(deployment.settings), TABLES[asset])
    step = interval_delta(deployment.settings.interval)
    return {
        f"{currency}|{key}"
        for currency in currencies
        for key in keys
        if currency not in newest or deployment.partitions.span(key)[1] > newest[currency] + step
    }


def _missing_runs(keys: Sequence[str], done: set[str]) -> list[tuple[str, str, int]]:
    """Maximal runs of keys that are not done: first, last, how many.

    >>> _missing_runs(["a", "b", "c", "d"], {"b"})
    [('a', 'a', 1), ('c', 'd', 2)]
    """
    runs: list[list[str]] = [[]]
    for key in keys:
        if key in done:
            runs.append([])
        else:
            runs[-1].append(key)
    return [(run[0], run[-1], len(run)) for run in runs if run]

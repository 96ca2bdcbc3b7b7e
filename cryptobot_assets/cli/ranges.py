"""Which partitions are still to be materialized, in as few runs as reasonable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from cryptobot_assets.deployment import Deployment
from cryptobot_assets.domain.intervals import interval_delta
from cryptobot_assets.storage.store import KLINES, TABLES, open_store
from cryptobot_assets.wholeness import known_instants, stored_instants

PARTITIONS_A_RUN = 250
"""A run costs seconds of bookkeeping of its own, and one that is killed is done again whole."""


@dataclass(frozen=True)
class KeyRange:
    """Partitions of one asset: every span from `A|d1` to `C|d2` of every currency from A to C, in the group's order."""

    asset: str
    first: str
    last: str

    @property
    def keys(self) -> tuple[str, str]:
        """First and last partition key."""
        return self.first, self.last


@dataclass
class _Block:
    """Neighbouring currencies of a group that miss the same span keys."""

    currencies: list[str]
    first: str
    last: str


def missing_ranges(
    deployment: Deployment, layer: str, currencies: Sequence[str], first: date, last: date
) -> list[KeyRange]:
    """Partitions of a layer's assets over the days [first, last] that are not materialized, or not whole.

    A partition recorded while its day still went on is done again, and so is one of which rows are
    missing for whatever reason. Ranges join neighbours of a group that miss the same days.
    """
    keys = deployment.partitions.span_keys(first, last)
    unfinished = _unfinished(deployment, layer, currencies, keys)
    ranges = []
    for group in deployment.partitions.groups:
        wanted = [name for name in group.currencies if name in currencies]
        if wanted:
            done = deployment.materialized(group.asset(layer)) - unfinished
            ranges += [
                KeyRange(group.asset(layer), f"{one.currencies[0]}|{one.first}", f"{one.currencies[-1]}|{one.last}")
                for one in _blocks(group.currencies, wanted, keys, done)
            ]
    return ranges


def whole_ranges(deployment: Deployment, layer: str, first: date, last: date) -> Iterator[KeyRange]:
    """Every partition of a layer over the days [first, last], a range a group."""
    keys = deployment.partitions.span_keys(first, last)
    for group in deployment.partitions.groups:
        yield KeyRange(group.asset(layer), f"{group.currencies[0]}|{keys[0]}", f"{group.currencies[-1]}|{keys[-1]}")


def _blocks(order: Sequence[str], wanted: Sequence[str], keys: Sequence[str], done: set[str]) -> list[_Block]:
    blocks: list[_Block] = []
    for currency in wanted:
        for first, last, count in _missing_runs(keys, {key for key in keys if f"{currency}|{key}" in done}):
            held = blocks[-1] if blocks else None
            if (
                held is not None
                and (held.first, held.last) == (first, last)
                and order.index(currency) == order.index(held.currencies[-1]) + 1
                and (len(held.currencies) + 1) * count <= PARTITIONS_A_RUN
            ):
                held.currencies.append(currency)
            else:
                blocks.append(_Block([currency], first, last))
    return blocks


def _unfinished(deployment: Deployment, layer: str, currencies: Sequence[str], keys: Sequence[str]) -> set[str]:
    """Partitions that lack klines, or rows for their klines."""
    store, partitions = open_store(deployment.settings), deployment.partitions
    if layer == KLINES.name:
        step = interval_delta(deployment.settings.interval)
        held = known_instants(store, partitions, currencies, keys)
        whole = {key: (end - start) // step for key in keys for start, end in [partitions.span(key)]}
        return {f"{name}|{key}" for name in currencies for key in keys if held[f"{name}|{key}"] < whole[key]}
    made, klines = (stored_instants(store, one, partitions, currencies, keys) for one in (TABLES[layer], KLINES))
    return {f"{name}|{key}" for name in currencies for key in keys if made[f"{name}|{key}"] != klines[f"{name}|{key}"]}


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
